package main

import (
	"testing"

	"example.org/sse/examples/internal/check"
)

func TestStreams(t *testing.T) { check.Streams(t, routes) }
