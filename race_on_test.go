//go:build race

package sse_test

// slowdown is by how much the race detector may slow a test that is bound by the
// processor: it has so much less to do, or more time.
const slowdown = 10
