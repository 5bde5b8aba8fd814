package client

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// mark stands before an event's number, at the beginning of the event's data or
// near it: some subjects wrap the data in their own.
var mark = []byte("seq=")

var lineFeed = []byte("\n")

// How much of a line is kept while it is incomplete: of those between the
// chunks, and of the body's, where the number must end within it.
const (
	frameReach = 16
	lineReach  = 96
)

// A Stream decodes what one connection receives, as cheaply as it can be done
// while every event is seen: the head of the response, the chunks, the lines,
// and in these the number of the event. The zero value is at the beginning of
// an HTTP/1.1 response; after [Stream.SkipHead] it takes a body without chunks.
type Stream struct {
	state state
	left  int // what is left of the chunk

	// The beginnings of lines that are incomplete. A line of the body may go on
	// in the next chunk.
	frameLine [frameReach]byte
	frameKept int
	line      [lineReach]byte
	lineKept  int

	event int // the number in the lines since the last blank one, or -1
}

type state uint8

const (
	inHead state = iota
	inSize
	inChunk
	afterChunk
	inTrailer
	atEnd
	inBody // without chunks
)

// SkipHead makes the stream one of a body alone, as HTTP/2 delivers it.
func (s *Stream) SkipHead() { s.state, s.event = inBody, -1 }

// Ended reports whether the last chunk has come.
func (s *Stream) Ended() bool { return s.state == atEnd }

// Feed decodes what was received and calls deliver with the number of each
// event. Chunks and lines may be split anywhere.
func (s *Stream) Feed(p []byte, deliver func(event int)) error {
	for len(p) > 0 {
		switch s.state {
		case inBody:
			return s.lines(p, deliver)
		case inChunk:
			n := min(s.left, len(p))
			if err := s.lines(p[:n], deliver); err != nil {
				return err
			}
			if p, s.left = p[n:], s.left-n; s.left == 0 {
				s.state = afterChunk
			}
			continue
		case atEnd:
			return errors.New("there are bytes after the last chunk")
		case inHead, inSize, afterChunk, inTrailer:
		}
		line, rest, complete := cut(p, s.frameLine[:], &s.frameKept)
		if p = rest; !complete {
			break
		}
		if err := s.frame(line); err != nil {
			return err
		}
	}
	return nil
}

// frame takes a line that is not the body's.
func (s *Stream) frame(line []byte) error {
	switch {
	case s.state == inHead && len(line) == 0:
		s.state, s.event = inSize, -1
	case s.state == inHead:
		if bytes.HasPrefix(line, []byte("HTTP/")) && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the answer is %q", line)
		}
	case s.state == inSize:
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("%q is no chunk's size", line)
		}
		s.left = int(n)
		if s.state = inChunk; n == 0 {
			s.state = inTrailer
		}
	case s.state == afterChunk:
		if len(line) != 0 {
			return fmt.Errorf("a chunk is followed by %q", line)
		}
		s.state = inSize
	case s.state == inTrailer && len(line) == 0:
		s.state = atEnd
	}
	return nil
}

// lines takes a part of the body.
func (s *Stream) lines(p []byte, deliver func(event int)) error {
	for len(p) > 0 {
		line, rest, complete := cut(p, s.line[:], &s.lineKept)
		if p = rest; !complete {
			break
		}
		if len(line) == 0 {
			if s.event >= 0 {
				deliver(s.event)
				s.event = -1
			}
			continue
		}
		if !bytes.HasPrefix(line, []byte("data:")) {
			continue
		}
		_, digits, ok := bytes.Cut(line, mark)
		if !ok {
			continue // what a subject sends for itself
		}
		n := 0
		for len(digits) > 0 && '0' <= digits[0] && digits[0] <= '9' {
			n, digits = 10*n+int(digits[0]-'0'), digits[1:]
		}
		if s.event >= 0 {
			return fmt.Errorf("event %d has another one, %d, in its data: a blank line is missing", s.event, n)
		}
		s.event = n
	}
	return nil
}

// cut returns the first line of p without its end, and what follows it. If p
// ends before the line does, complete is false, and what fits of its beginning
// is kept. Of a line that comes in parts only that much is returned.
func cut(p, begun []byte, kept *int) (line, rest []byte, complete bool) {
	line, rest, complete = bytes.Cut(p, lineFeed)
	if !complete {
		*kept += copy(begun[*kept:], p)
		return nil, nil, false
	}
	if *kept > 0 {
		*kept += copy(begun[*kept:], line)
		line, *kept = begun[:*kept], 0
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest, true
}
