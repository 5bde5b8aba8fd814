package sse_test

import (
	"testing"

	"example.org/sse/internal/codingtest"
)

// Whatever happens to a compressed stream, its client gets what it would get without
// compression.
func TestCompressed(t *testing.T) { codingtest.Memory(t, codingtest.Gzip, 150/slowdown) }

// The same over real sockets.
func TestCompressedSockets(t *testing.T) { codingtest.Sockets(t, codingtest.Gzip, 50/slowdown) }
