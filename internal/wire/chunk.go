package wire

import (
	"bytes"
	"strconv"
)

// A Chunk is a piece of a stream, an event or a comment, in the framing of
// HTTP/1.1 (RFC 9112, section 7.1): what a detached stream sends. An attached
// stream sends the block in it, and leaves the framing to net/http.
type Chunk []byte

// SizeRoom is the most that the first line of a chunk takes.
const SizeRoom = len("ffffffffffffffff\r\n")

const chunkEnd = "\r\n"

// LastChunk ends a body, without trailers.
var LastChunk = Chunk("0\r\n\r\n")

// Comment keeps a silent stream alive.
var Comment = NewChunk([]byte(":\n"))

// Frame makes a chunk of buf[start:]. The caller leaves SizeRoom bytes before
// start, and capacity for the end of a chunk, as [Event.Encode] does.
func Frame(buf []byte, start int) Chunk {
	var line [SizeRoom]byte
	first := strconv.AppendInt(line[:0], int64(len(buf)-start), 16)
	first = append(first, chunkEnd...)
	start -= len(first)
	copy(buf[start:], first)
	return append(buf, chunkEnd...)[start:]
}

// NewChunk makes a chunk of a block.
func NewChunk(block []byte) Chunk {
	buf := make([]byte, SizeRoom, SizeRoom+len(block)+len(chunkEnd))
	return Frame(append(buf, block...), SizeRoom)
}

// Last reports whether the chunk is LastChunk.
func (c Chunk) Last() bool { return c[0] == LastChunk[0] } // sizes have no leading zeros

// Block returns the content of the chunk.
func (c Chunk) Block() []byte {
	start := bytes.IndexByte(c, '\n') + 1
	return c[start : len(c)-len(chunkEnd)]
}
