package zstd_test

import (
	"encoding/binary"
	"io"
	"testing"

	"example.org/sse/internal/codingtest"
	"example.org/sse/zstd"
	klauspost "github.com/klauspost/compress/zstd"
)

// codec is the coding with the decoder of the module that has the encoder, which has no
// state that the coding could share with it.
var codec = codingtest.Codec{Coding: zstd.Coding(), Decode: decode, Pieces: pieces}

func decode(r io.Reader) (io.Reader, error) {
	return klauspost.NewReader(r, klauspost.WithDecoderConcurrency(1), klauspost.WithDecoderMaxWindow(8<<20))
}

// pieces counts the blocks that are in frames with others, and the first ones of frames.
func pieces(encoded []byte) (referring, alone int) {
	for len(encoded) > 0 {
		var h klauspost.Header
		rest, err := h.DecodeAndStrip(encoded)
		if err != nil {
			return referring, alone
		}
		alone++
		for i, last := 0, false; !last; i++ {
			if len(rest) < 3 {
				return referring, alone
			}
			header := binary.LittleEndian.Uint32(append(rest[:3:3], 0))
			size := int(header >> 3)
			if header>>1&3 == 1 {
				size = 1 // of a byte that is repeated
			}
			if rest = rest[3:]; len(rest) < size {
				return referring, alone
			}
			rest = rest[size:]
			if last = header&1 != 0; i > 0 && size > 0 {
				referring++
			}
		}
		encoded = rest
	}
	return referring, alone
}

// Whatever happens to a compressed stream, its client gets what it would get without
// compression.
func TestCompressed(t *testing.T) { codingtest.Memory(t, codec, 15) }

// The same over real sockets.
func TestCompressedSockets(t *testing.T) { codingtest.Sockets(t, codec, 5) }
