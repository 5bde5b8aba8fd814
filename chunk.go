package sse

import (
	"bytes"
	"strconv"
)

// A chunk is a piece of a stream, an event or a comment, in the framing of
// HTTP/1.1 (RFC 9112, section 7.1): what a detached stream sends. An attached
// one sends the block in it, and leaves the framing to net/http.
type chunk []byte

// sizeRoom is the room that the first line of a chunk takes at most.
const sizeRoom = len("ffffffffffffffff\r\n")

const chunkEnd = "\r\n"

// lastChunk ends a body, without trailers.
var lastChunk = chunk("0\r\n\r\n")

// comment is what keeps a silent stream alive.
var comment = newChunk([]byte(":\n"))

// frame makes a chunk of buf[start:]. Before it there is room for a first line,
// and it has the capacity for an end.
func frame(buf []byte, start int) chunk {
	var line [sizeRoom]byte
	first := strconv.AppendInt(line[:0], int64(len(buf)-start), 16)
	first = append(first, chunkEnd...)
	start -= len(first)
	copy(buf[start:], first)
	return append(buf, chunkEnd...)[start:]
}

// newChunk makes a chunk of a block.
func newChunk(block []byte) chunk {
	buf := make([]byte, sizeRoom, sizeRoom+len(block)+len(chunkEnd))
	return frame(append(buf, block...), sizeRoom)
}

// block returns what is in the chunk.
func (c chunk) block() []byte {
	start := bytes.IndexByte(c, '\n') + 1
	return c[start : len(c)-len(chunkEnd)]
}
