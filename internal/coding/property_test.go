package coding_test

import (
	"compress/gzip"
	"io"
	"testing"

	"example.org/sse/internal/coding"
	"example.org/sse/internal/codingtest"
)

func TestProperty(t *testing.T) {
	codingtest.Property(t, coding.Gzip, func(r io.Reader) (io.Reader, error) {
		z, err := gzip.NewReader(r)
		if err == nil {
			z.Multistream(false)
		}
		return z, err
	})
}
