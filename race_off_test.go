//go:build !race

package sse_test

const slowdown = 1
