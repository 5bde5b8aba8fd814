package coding_test

import (
	"testing"

	"example.org/sse/internal/codingtest"
)

func TestProperty(t *testing.T) { codingtest.Property(t, codingtest.Gzip) }

func FuzzPieces(f *testing.F) { codingtest.Fuzz(f, codingtest.Gzip) }
