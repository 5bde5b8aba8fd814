package coding

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
)

// Gzip is the coding of RFC 1952, by the standard library's compressor.
var Gzip = New(gzip{})

type gzip struct{}

const (
	gzipWindow = 32 << 10
	gzipSets   = 64 // 0.8 MiB each

	// gzipLevel is worth its time: level 1 is of no use for small events, and level 9
	// gains 0 to 5 %.
	gzipLevel = 6

	storedMost = 1<<16 - 1 // of a stored block
)

// syncMarker is an empty stored block. Go's decoder keeps a stored block to itself until
// it sees the next block.
var syncMarker = []byte{0, 0, 0, 0xff, 0xff}

func (gzip) Name() string  { return "gzip" }
func (gzip) Window() int64 { return gzipWindow }
func (gzip) Sets() int     { return gzipSets }

// Head returns the header of a member without a name and a time.
func (gzip) Head() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} }

func (gzip) Leave() []byte { return nil }

// Tail returns an empty final block, and the trailer. Browsers need neither; Go's client
// and proxies that decode take a stream without them for one that was cut.
func (gzip) Tail(sum, size uint32) []byte {
	b := []byte{3, 0}
	b = binary.LittleEndian.AppendUint32(b, sum)
	return binary.LittleEndian.AppendUint32(b, size)
}

func (gzip) AppendStored(dst, content []byte) []byte {
	for len(content) > 0 {
		n := min(len(content), storedMost)
		dst = append(dst, 0)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(n))
		dst = append(dst, content[:n]...)
		content = content[n:]
	}
	return append(dst, syncMarker...)
}

func (gzip) NewCompressor() Compressor {
	c := new(deflater)
	c.w, _ = flate.NewWriter(&c.out, gzipLevel) // fails for other levels
	return c
}

// A deflater makes the blocks of one deflate stream.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

func (c *deflater) Reset() { c.w.Reset(&c.out) }

func (c *deflater) Append(dst, content []byte) []byte {
	_, err := c.w.Write(content)
	if err == nil {
		err = c.w.Flush() // which writes a sync marker
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
