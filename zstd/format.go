package zstd

import (
	"bytes"

	"example.org/sse"
	"example.org/sse/internal/coding"
	"github.com/klauspost/compress/zstd"
)

// Coding returns the coding, for [sse.AcceptOptions]. Clients that accept zstd and gzip
// alike get the one that comes first there.
func Coding() sse.Coding { return shared }

var shared = coding.New(format{})

const (
	window = 4 << 20 // half of what browsers take; 1 MiB made a page of 59 KB twice as large
	sets   = 16      // 5.6 MiB each
)

// A run of shared pieces is one frame, whose blocks depend on more than the window before
// them: nobody can join in its middle. Everything else is a frame of its own.
type format struct{}

func (format) Name() string  { return "zstd" }
func (format) Window() int64 { return -1 }
func (format) Sets() int     { return sets }
func (format) Head() []byte  { return nil }

// Leave returns an empty last block.
func (format) Leave() []byte { return []byte{1, 0, 0} }

func (format) Tail(_, _ uint32) []byte { return nil }

// AppendStored appends a frame of raw blocks (RFC 8878, section 3.1.1).
func (format) AppendStored(dst, content []byte) []byte {
	const (
		blockMost  = 128 << 10
		windowByte = 7 << 3 // 128 KiB
	)
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0, windowByte)
	for {
		n := min(len(content), blockMost)
		header := uint32(n) << 3
		if n == len(content) {
			header |= 1 // the last one
		}
		dst = append(dst, byte(header), byte(header>>8), byte(header>>16))
		dst = append(dst, content[:n]...)
		if content = content[n:]; len(content) == 0 {
			return dst
		}
	}
}

func (format) NewCompressor() coding.Compressor {
	c := new(compressor)
	var err error
	c.w, err = zstd.NewWriter(&c.out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are right
	}
	return c
}

// A compressor makes the blocks of one frame.
type compressor struct {
	out bytes.Buffer
	w   *zstd.Encoder
}

func (c *compressor) Reset() {
	c.out.Reset()
	c.w.Reset(&c.out)
}

func (c *compressor) Append(dst, content []byte) []byte {
	_, err := c.w.Write(content)
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	dst = append(dst, c.out.Bytes()...)
	if c.out.Reset(); c.out.Cap() > 64<<10 {
		c.out = bytes.Buffer{}
	}
	return dst
}
