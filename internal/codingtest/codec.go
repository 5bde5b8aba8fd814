package codingtest

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"io"

	"example.org/sse/internal/coding"
)

// A Codec is a coding with a decoder that was written independently of it.
type Codec struct {
	Coding coding.Coding
	Decode func(io.Reader) (io.Reader, error)

	// Pieces returns how many of the pieces of an encoded stream refer to a piece
	// before them, and how many do not.
	Pieces func(encoded []byte) (referring, alone int)
}

// Gzip is gzip with the standard library's decoder.
var Gzip = Codec{coding.Gzip, decodeGzip, gzipPieces}

func decodeGzip(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err == nil {
		z.Multistream(false) // most clients read one member alone
	}
	return z, err
}

const gzipHead = 10 // bytes

// gzipPieces cuts a stream at the sync markers, by which each piece ends. A piece that
// cannot be decoded without those before refers to them.
func gzipPieces(encoded []byte) (referring, alone int) {
	for len(encoded) > gzipHead {
		piece, rest, found := bytes.Cut(encoded[gzipHead:], []byte{0, 0, 0xff, 0xff})
		if !found {
			break
		}
		piece = append(bytes.Clone(piece), 0, 0, 0xff, 0xff, 3, 0) // and a final block
		if _, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(piece))); err != nil {
			referring++
		} else {
			alone++
		}
		encoded = append(make([]byte, gzipHead), rest...)
	}
	return referring, alone
}
