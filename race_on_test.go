//go:build race

package sse_test

// slowdown is by how much the race detector slows a test that is bound by the
// processor, at most; limits in time are multiplied by it.
const slowdown = 10
