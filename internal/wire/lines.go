package wire

import (
	"bytes"
	"errors"
	"io"
)

const (
	minReadBuffer = 4 << 10  // for an idle stream
	maxReadBuffer = 64 << 10 // for small events
	minReadRoom   = 32 << 10 // for a read, unless the buffer is smaller than twice that
	maxKeptBuffer = 1 << 20  // a larger buffer is dropped with the event that needed it
)

// ErrLineTooLong means that a line is longer than the limit given to [Lines.Next].
var ErrLineTooLong = errors.New("wire: line too long")

// Lines splits a stream into lines, which end with LF, CR or CRLF, and collects
// the data of the event that is being read. Lines and data share one buffer, so
// nothing is copied except what the caller makes of them.
//
//	buf   ....[ data ]....[ not yet split into lines )....
//	          data   dataEnd  pos                end
type Lines struct {
	R io.Reader // the stream; set it before the first call of Next

	err error // permanent; returned once buf is used up

	buf      []byte
	pos, end int
	lf, cr   int  // buf[pos:lf] has no LF, buf[pos:cr] no CR
	skipLF   bool // the last line ended with a CR, and a LF may follow
	filled   bool // the last read filled the buffer

	data, dataEnd int
	hasData       bool
}

// Next returns the next line without its line end. It is valid until the next
// call. A line that ends with a CR is returned at once: a LF that follows
// belongs to the same line end, however late it arrives.
//
// A line of more than limit bytes is an [ErrLineTooLong], even before its end
// has been read. The end of the stream is io.EOF, and an unfinished line is
// dropped. After an error every call returns it again.
func (l *Lines) Next(limit int) ([]byte, error) {
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
		start, end := l.pos, min(l.lf, l.cr)
		if end-start > limit {
			*l = Lines{err: ErrLineTooLong}
			return nil, l.err
		}
		if end < l.end {
			l.pos = end + 1
			l.skipLF = end == l.cr
			return l.buf[start:end], nil
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// find returns the index of the first c in buf[pos:end], or else end. There is no
// c before from: no byte is searched twice, so a stream of CRs costs no more than
// a stream of LFs.
func (l *Lines) find(c byte, from int) int {
	from = max(from, l.pos)
	if from < l.end && l.buf[from] != c {
		if i := bytes.IndexByte(l.buf[from:l.end], c); i >= 0 {
			return from + i
		}
		return l.end
	}
	return from
}

// fill reads until at least one byte has arrived.
func (l *Lines) fill() error {
	if l.err != nil {
		return l.err
	}
	l.makeRoom()
	for range 100 { // as bufio does
		n, err := l.R.Read(l.buf[l.end:])
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

// makeRoom makes room for a read: at the front of the buffer, where lines have
// been used up, or in another buffer.
func (l *Lines) makeRoom() {
	held := 0
	if l.hasData {
		held = l.dataEnd - l.data + 1 // and the LF that AddData may put behind it
	}
	size := l.bufferSize(held + l.end - l.pos)
	if size == len(l.buf) && hasRoom(size, l.end) {
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

// bufferSize returns the size of a buffer with room for a read after live bytes.
// It follows the largest content so far, or, while events are small, the amount
// that a read returns.
func (l *Lines) bufferSize(live int) int {
	size := max(len(l.buf), minReadBuffer)
	switch {
	case live == 0 && size > maxKeptBuffer:
		size = maxReadBuffer
	case l.filled && size < maxReadBuffer:
		size *= 2
	}
	for !hasRoom(size, live) {
		size *= 2
	}
	return size
}

// hasRoom reports whether a buffer has room for a read after used bytes.
func hasRoom(size, used int) bool { return size-used >= min(size/2, minReadRoom) }

// AddData adds the last n bytes of the line that Next has returned to the data,
// after a LF if there is data already.
func (l *Lines) AddData(n int) {
	end := l.pos - 1 // where the line's LF or CR is
	if !l.hasData {
		l.data, l.dataEnd, l.hasData = end-n, end, true
		return
	}
	l.buf[l.dataEnd] = '\n' // in the place of an earlier line's end
	l.dataEnd += 1 + copy(l.buf[l.dataEnd+1:], l.buf[end-n:end])
}

// DataLen returns the number of bytes of data.
func (l *Lines) DataLen() int { return l.dataEnd - l.data }

// TakeData returns the data and begins without any. It is valid until the next
// call of Next. ok reports whether AddData was called, if only with 0.
func (l *Lines) TakeData() (data []byte, ok bool) {
	data, ok = l.buf[l.data:l.dataEnd], l.hasData
	l.data, l.dataEnd, l.hasData = 0, 0, false
	return data, ok
}
