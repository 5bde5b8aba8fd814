package sse

import (
	"bytes"
	"fmt"
	"io"
)

const (
	minReadBuffer = 4 << 10  // an idle stream's
	maxReadBuffer = 64 << 10 // one's whose events are small
	minReadRoom   = 32 << 10 // for a read, unless the buffer is smaller than twice that
	maxKeptBuffer = 1 << 20  // a larger one goes with the event that it was for
)

// The lines of a stream, and the data of the event that is being read, in one
// buffer: so that nothing is copied but what the event's string is made of.
//
//	buf   ....[ data ]....[ not yet read as lines )....
//	          data   dataEnd  pos                end
type lines struct {
	r   io.Reader
	err error // for good; what is in buf comes first

	buf      []byte
	pos, end int
	lf, cr   int  // no LF, or CR, is in buf[pos:lf], or buf[pos:cr]
	skipLF   bool // the last line ended with a CR at the end of a read
	filled   bool // the last read took all there was room for

	data, dataEnd int
	hasData       bool
}

// next returns where in buf the next line is, of which at most most bytes are
// allowed. The line is there as soon as its CR is, and a LF that follows is a
// part of that line end, whenever it comes.
func (l *lines) next(most, limit int) (start, end int, err error) {
	for {
		if l.skipLF && l.pos < l.end {
			l.skipLF = false
			if l.buf[l.pos] == '\n' {
				l.pos++
			}
		}
		if l.lf < l.end {
			l.lf = l.find('\n', l.lf)
		}
		if l.cr < l.end {
			l.cr = l.find('\r', l.cr)
		}
		start, end = l.pos, min(l.lf, l.cr)
		if end-start > most {
			*l = lines{err: fmt.Errorf("%w: more than the %d bytes that MaxEvent allows", ErrTooLarge, limit)}
			return 0, 0, l.err
		}
		if end < l.end {
			l.pos = end + 1
			l.skipLF = end == l.cr
			return start, end, nil
		}
		if err := l.fill(); err != nil {
			return 0, 0, err
		}
	}
}

// find returns the index of the first c in buf from pos on, or else end; none is
// before from. What was looked at once is not looked at again, so that a stream
// of CRs costs no more than one of LFs.
func (l *lines) find(c byte, from int) int {
	from = max(from, l.pos)
	if from < l.end && l.buf[from] != c {
		if i := bytes.IndexByte(l.buf[from:l.end], c); i >= 0 {
			return from + i
		}
		return l.end
	}
	return from
}

// fill reads once, or again while nothing comes.
func (l *lines) fill() error {
	if l.err != nil {
		return l.err
	}
	l.makeRoom()
	for range 100 { // as bufio does
		n, err := l.r.Read(l.buf[l.end:])
		l.filled = n == len(l.buf)-l.end
		l.end += n
		l.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	l.err = io.ErrNoProgress
	return l.err
}

// makeRoom makes room for a read: in front, where lines have been read, or in a
// larger buffer. A buffer is no larger than what was in it at once asks for, or
// for small events than what the reader gives at once.
func (l *lines) makeRoom() {
	held := 0
	if l.hasData {
		held = l.dataEnd - l.data + 1 // with room for the LF that a further line asks for
	}
	live := held + l.end - l.pos
	size := max(len(l.buf), minReadBuffer)
	switch {
	case live == 0 && size > maxKeptBuffer:
		size = maxReadBuffer
	case l.filled && size < maxReadBuffer:
		size *= 2
	}
	for size-live < min(size/2, minReadRoom) {
		size *= 2
	}
	if size == len(l.buf) && (size-l.end >= min(size/2, minReadRoom)) {
		return
	}
	buf := l.buf
	if size != len(buf) {
		buf = make([]byte, size)
	}
	if l.hasData {
		copy(buf, l.buf[l.data:l.dataEnd])
		l.data, l.dataEnd = 0, held-1
	}
	copy(buf[held:], l.buf[l.pos:l.end])
	shift := l.pos - held
	l.pos, l.end, l.lf, l.cr = held, l.end-shift, l.lf-shift, l.cr-shift
	l.buf = buf
}

// keep adds buf[start:end], which is of the last line, to the data. Between
// it and the data before there is a line end at least, and so room for a LF.
func (l *lines) keep(start, end int) {
	if !l.hasData {
		l.data, l.dataEnd, l.hasData = start, end, true
		return
	}
	l.buf[l.dataEnd] = '\n'
	l.dataEnd += 1 + copy(l.buf[l.dataEnd+1:], l.buf[start:end])
}

// take returns the data, if there is any, and forgets it. It is valid until the
// next line is read.
func (l *lines) take() (data []byte, ok bool) {
	data, ok = l.buf[l.data:l.dataEnd], l.hasData
	l.data, l.dataEnd, l.hasData = 0, 0, false
	return data, ok
}
