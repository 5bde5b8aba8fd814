// Package redislog is a [backplane.Log] and a [backplane.Store] on a Redis server.
package redislog
