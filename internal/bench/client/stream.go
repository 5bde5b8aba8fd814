package client

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// mark stands before an event's number, at the beginning of the event's data or near
// it: some subjects wrap the data in their own.
var mark = []byte("seq=")

// A Stream decodes what a connection receives: the head of the response, the chunks,
// and the numbers of the events. The zero value is at the beginning of an HTTP/1.1
// response; after [Stream.SkipHead] it takes a body without chunks.
type Stream struct {
	state state
	rest  []byte // of the connection, before it is decoded
	event []byte // the beginning of an event
}

type state uint8

const (
	inHead state = iota
	inChunks
	inBody // without chunks
	atEnd
)

// SkipHead makes the stream one of a body alone, as HTTP/2 delivers it.
func (s *Stream) SkipHead() { s.state = inBody }

// Ended reports whether the last chunk has been received.
func (s *Stream) Ended() bool { return s.state == atEnd }

// Feed decodes what was received and calls deliver with the number of each event.
// Chunks and lines may be split anywhere.
func (s *Stream) Feed(p []byte, deliver func(event int)) error {
	if s.state == inBody {
		return s.events(p, deliver)
	}
	left := p
	if len(s.rest) > 0 {
		s.rest = append(s.rest, p...)
		left = s.rest
	}
	for whole := true; whole; {
		var err error
		if left, whole, err = s.next(left, deliver); err != nil {
			return err
		}
	}
	s.rest = append(s.rest[:0], left...)
	return nil
}

// next decodes the head or a chunk, and returns what follows it. If p does not have
// all of it, whole is false.
func (s *Stream) next(p []byte, deliver func(event int)) (rest []byte, whole bool, err error) {
	if s.state == inHead {
		head, rest, whole := bytes.Cut(p, []byte("\r\n\r\n"))
		if !whole {
			return p, false, nil
		}
		if s.state = inChunks; !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return nil, false, fmt.Errorf("the response is %.50q", head)
		}
		return rest, true, nil
	}
	if s.state == atEnd {
		if len(p) > 0 {
			err = errors.New("there are bytes after the last chunk")
		}
		return nil, false, err
	}
	line, rest, whole := bytes.Cut(p, []byte("\r\n"))
	if !whole {
		return p, false, nil
	}
	size, err := strconv.ParseUint(string(line), 16, 31)
	if err != nil {
		return nil, false, fmt.Errorf("%.50q is not the size of a chunk", line)
	}
	if len(rest) < int(size)+2 {
		return p, false, nil
	}
	chunk, rest := rest[:size], rest[size:]
	if !bytes.HasPrefix(rest, []byte("\r\n")) {
		return nil, false, fmt.Errorf("a chunk is followed by %.50q", rest)
	}
	if size == 0 {
		s.state = atEnd
	}
	return rest[2:], true, s.events(chunk, deliver)
}

// events decodes a part of the body.
func (s *Stream) events(p []byte, deliver func(event int)) error {
	if bytes.IndexByte(p, '\r') >= 0 {
		p = bytes.ReplaceAll(p, []byte("\r"), nil)
	}
	if len(s.event) > 0 {
		s.event = append(s.event, p...)
		p = s.event
	}
	for {
		event, rest, whole := bytes.Cut(p, []byte("\n\n"))
		if !whole {
			s.event = append(s.event[:0], p...)
			return nil
		}
		p = rest
		_, digits, ok := bytes.Cut(event, mark)
		if !ok {
			continue // what a subject sends for itself
		}
		if bytes.Contains(digits, mark) {
			return fmt.Errorf("an event has the data of two: %.50q", digits)
		}
		n := 0
		for len(digits) > 0 && '0' <= digits[0] && digits[0] <= '9' {
			n, digits = 10*n+int(digits[0]-'0'), digits[1:]
		}
		deliver(n)
	}
}
