package wire_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"example.org/sse/internal/wire"
)

// A block is the lines up to a blank one, and the data of those that begin with
// a colon: what follows it.
type block struct {
	lines []string
	data  string
	has   bool // data
}

// read reads all blocks. The last one has no blank line.
func read(r io.Reader, limit int) (blocks []block, err error) {
	l := wire.Lines{R: r}
	var b block
	for {
		line, err := l.Next(limit)
		if err != nil {
			return append(blocks, b), err
		}
		if len(line) > 0 {
			b.lines = append(b.lines, string(line))
			if line[0] == ':' {
				l.AddData(len(line) - 1)
			}
			continue
		}
		n := l.DataLen()
		data, has := l.TakeData()
		if n != len(data) {
			return nil, fmt.Errorf("%d bytes of data, DataLen %d", len(data), n)
		}
		b.data, b.has = string(data), has
		blocks, b = append(blocks, b), block{}
	}
}

// expected returns what read should return, from the whole stream at once.
func expected(stream string, limit int) (blocks []block, err error) {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream), "\n")
	var b block
	var data []string
	for i, line := range lines {
		switch {
		case len(line) > limit:
			return append(blocks, b), wire.ErrLineTooLong
		case i == len(lines)-1: // without a line end
			return append(blocks, b), io.EOF
		case line == "":
			b.data, b.has = strings.Join(data, "\n"), data != nil
			blocks, b, data = append(blocks, b), block{}, nil
			continue
		case line[0] == ':':
			data = append(data, line[1:])
		}
		b.lines = append(b.lines, line)
	}
	panic("no last line")
}

func show(blocks []block) string { return fmt.Sprintf("%#v", blocks) }

// compare reads a stream and compares the blocks with the expected ones.
func compare(t *testing.T, how, stream string, r io.Reader, limit int) {
	t.Helper()
	got, err := read(r, limit)
	want, wantErr := expected(stream, limit)
	same := slices.EqualFunc(got, want, func(a, b block) bool {
		return a.data == b.data && a.has == b.has && slices.Equal(a.lines, b.lines)
	})
	if !same || !errors.Is(err, wantErr) {
		t.Fatalf("%.200q, limit %d, %s: got %.500s, error %v; want %.500s, %v",
			stream, limit, how, show(got), err, show(want), wantErr)
	}
}

// A stream has the same lines and the same data however it is cut into reads.
func FuzzLines(f *testing.F) {
	for i, s := range []string{
		"", "\n", "\r", "\r\n", "x", "x\n", "x\r", "x\r\n", "\n\r", "\r\r\n\n",
		":a\n:b\n\n", ":a\r:b\r\r:c", ":a\r\n:b\r\n\r\n\r\n", ":\nx\n:\n\n:\n\n", "x\n:a\ny\n:\n\r",
		strings.Repeat(":0123456789\r\n", 1000) + "\r\n:x\n\n",
		":" + strings.Repeat("x", 10000) + "\n\n:y\n\n",
	} {
		f.Add(s, uint64(i), math.MaxInt)
		f.Add(s, uint64(i), len(s)/3)
	}
	f.Fuzz(func(t *testing.T, stream string, seed uint64, limit int) {
		compare(t, "at once", stream, strings.NewReader(stream), limit)
		compare(t, "in pieces", stream, pieces(stream, seed), limit)
		compare(t, "byte by byte", stream, iotest.OneByteReader(strings.NewReader(stream)), limit)
	})
}

// Lines and data larger than any buffer that small events need.
func TestLinesLarge(t *testing.T) {
	x := strings.Repeat("x", 1<<20)
	many := strings.Repeat(":0123456789\r\n", 10_000)
	for _, stream := range []string{
		":" + x + "\n\n:y\n\n",
		x + "\n:" + x + "\n" + x + "\n:y\n\n:z\n\n",
		many + "\n" + many + "\n",
	} {
		for seed := range uint64(3) {
			compare(t, "in pieces", stream, pieces(stream, seed), math.MaxInt)
		}
		compare(t, "in halves", stream, iotest.HalfReader(strings.NewReader(stream)), math.MaxInt)
		compare(t, "with a limit", stream, iotest.DataErrReader(strings.NewReader(stream)), 1<<19)
	}
}

// pieces returns a reader of random pieces of s. Most of them are small, some
// are empty, and some fill the buffer.
func pieces(s string, seed uint64) io.Reader {
	rng := rand.New(rand.NewPCG(seed, 0))
	r := strings.NewReader(s)
	return readFunc(func(p []byte) (int, error) {
		switch rng.IntN(20) {
		case 0:
			return 0, nil
		case 1:
			return r.Read(p)
		}
		return r.Read(p[:min(len(p), 1+rng.IntN(1+rng.IntN(20+len(s)/100)))])
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A line is returned without another read, as soon as its line end has begun.
func TestLinesAtOnce(t *testing.T) {
	reads := []string{"a\n", "b\r", "\nc\r\n", "d\r", "\r", "\n\n", "e"}
	var got []string
	next := 0
	l := wire.Lines{R: readFunc(func(p []byte) (int, error) {
		if next == len(reads) {
			return 0, io.EOF
		}
		next++
		return copy(p, reads[next-1]), nil
	})}
	for {
		line, err := l.Next(10)
		if err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%s%d", line, next))
	}
	if s, want := strings.Join(got, " "), "a1 b2 c3 d4 5 6"; s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

// Errors follow the lines that were read before them, and are permanent.
func TestLinesErrors(t *testing.T) {
	broken := errors.New("broken")
	nothing := readFunc(func([]byte) (int, error) { return 0, nil })
	for _, tt := range []struct {
		how  string
		rest io.Reader
		want error
	}{
		{"the end", strings.NewReader(""), io.EOF},
		{"the end in a line", strings.NewReader("y"), io.EOF},
		{"an error", iotest.ErrReader(broken), broken},
		{"a reader without progress", nothing, io.ErrNoProgress},
		{"a line too long", strings.NewReader("123456\nz\n"), wire.ErrLineTooLong},
		{"a line too long, without its end", io.MultiReader(strings.NewReader("123456"), nothing), wire.ErrLineTooLong},
	} {
		l := wire.Lines{R: io.MultiReader(strings.NewReader("x\n"), tt.rest)}
		if line, err := l.Next(5); string(line) != "x" || err != nil {
			t.Errorf("%s: got %q, error %v before it; want %q", tt.how, line, err, "x")
		}
		for range 2 {
			if line, err := l.Next(5); line != nil || err != tt.want {
				t.Errorf("%s: got %q, error %v; want %v", tt.how, line, err, tt.want)
			}
		}
	}
}
