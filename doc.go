// Package sse serves server-sent events.
package sse
