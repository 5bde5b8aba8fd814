package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"example.org/sse"
)

// repeat returns a reader of n times s that does not hold it in memory.
func repeat(s string, n int) io.Reader {
	left := n * len(s)
	return readFunc(func(p []byte) (int, error) {
		if left == 0 {
			return 0, io.EOF
		}
		off := (n*len(s) - left) % len(s)
		m := min(len(p), left)
		for i := copy(p[:min(m, len(s)-off)], s[off:]); i < m; {
			i += copy(p[i:m], s)
		}
		left -= m
		return m, nil
	})
}

// The memory that decoding uses is bounded, whatever the server sends.
func TestDecodeTooLarge(t *testing.T) {
	skipShort(t)
	const n = 100 << 20
	const some = 20 << 20 // also more than the limit
	for _, tt := range []struct {
		what  string
		in    io.Reader
		large bool
	}{
		{"one line", io.MultiReader(strings.NewReader("data: "), repeat("x", n)), true},
		{"many lines", repeat("data: 12345678\n", n/15), true},
		{"many empty lines", repeat("data\n", n/5), true},
		{"a type", io.MultiReader(strings.NewReader("event: "), repeat("x", n)), true},
		{"an id", io.MultiReader(strings.NewReader("id: "), repeat("x", n)), true},
		{"a comment", io.MultiReader(strings.NewReader(":"), repeat("x", n)), true},
		{"an unknown field", repeat("x", n), true},
		{"many comments", repeat(":12345678901234\n", some/16), false},
		{"many comments in an event", io.MultiReader(strings.NewReader("data: x\n"), repeat(":12345678901234\n", some/16)), false},
		{"many ids", repeat("id: 1\n", some/6/slowdown), false},
		{"many CRs", repeat("\r", some/slowdown), false},
		{"many events", repeat("data: "+strings.Repeat("x", 10000)+"\r\n\r\n", some/10010), false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if slowdown > 1 && tt.what == "many empty lines" {
				t.Skip("17 million lines")
			}
			var before, after, now runtime.MemStats
			d := sse.NewDecoder(tt.in)
			runtime.ReadMemStats(&before)
			events, err := 0, error(nil)
			for ; err == nil; events++ {
				if _, err = d.Decode(); events%1000 == 0 {
					runtime.ReadMemStats(&now)
				}
			}
			runtime.ReadMemStats(&after)
			if large := errors.Is(err, sse.ErrTooLarge); large != tt.large || !large && err != io.EOF {
				t.Errorf("got error %v, want ErrTooLarge: %v", err, tt.large)
			}
			if _, again := d.Decode(); again == nil || again.Error() != err.Error() {
				t.Errorf("got error %v, and then %v; want the same again", err, again)
			}
			grown := after.TotalAlloc - before.TotalAlloc
			if tt.what == "many events" || tt.what == "many ids" {
				grown = 0 // the strings are garbage by now
				runtime.GC()
				if runtime.ReadMemStats(&after); after.HeapAlloc > before.HeapAlloc {
					grown = after.HeapAlloc - before.HeapAlloc
				}
			}
			if grown > 80<<20 {
				t.Errorf("used %d MiB, want at most 80", grown>>20)
			}
		})
	}
}

// MaxEvent is exact to the byte, however the stream is cut into reads.
func TestMaxEvent(t *testing.T) {
	x := strings.Repeat("x", 100)
	for _, tt := range []struct {
		in    string
		most  int
		large bool
	}{
		{"data:" + x + "\n\n", 105, false},
		{"data:" + x + "\n\n", 104, true},
		{"data:" + x + "\r\r", 104, true},
		{"data:" + x, 104, true},
		{"data:" + x + "\ndata:" + x + "\n\n", 205, false},
		{"data:" + x + "\ndata:" + x + "\n\n", 204, true},
		{"event:" + x + "\nid:" + x + "\ndata:" + x + "\n\n", 305, false},
		{"event:" + x + "\nid:" + x + "\ndata:" + x + "\n\n", 304, true},
		{"data:" + x + "\n:" + x + "\n:" + x + "\n\n", 201, false},
		{"data:" + x + "\n:" + x + "\n:" + x + "\n\n", 200, true},
		{"data:" + x + "\n\ndata:" + x + "\n\nid:" + x + "\n\nevent:" + x + "\n\ndata:" + x + "\n\n", 106, false},
		{":" + x + "\n", 1, true},
		{"data:" + x + "\n\n", 0, false},
		{"data:" + strings.Repeat(x, 200<<10) + "\n\n", 0, true},
		{"data:" + strings.Repeat(x, 200<<10) + "\n\n", -1, false},
	} {
		for i, cut := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.DataErrReader, iotest.OneByteReader} {
			if i > 0 && len(tt.in) > 1<<20 {
				break
			}
			d := sse.NewDecoder(cut(strings.NewReader(tt.in)))
			d.MaxEvent = tt.most
			var err error
			for err == nil {
				_, err = d.Decode()
			}
			if large := errors.Is(err, sse.ErrTooLarge); large != tt.large || !large && err != io.EOF {
				t.Errorf("%.20q of %d bytes with MaxEvent %d: got error %v, want ErrTooLarge: %v", tt.in, len(tt.in), tt.most, err, tt.large)
			}
		}
	}
}

// A line of 5 MiB, which exceeds any buffer of a fixed size, is decoded, and so are
// the events after it.
func TestDecodeLarge(t *testing.T) {
	skipShort(t)
	data := strings.Repeat("0123456789abcdef", 5<<16)
	in := "data: x\n\ndata: " + data + "\nid: 1\n\ndata: y\n\n"
	lines := strings.Repeat("data: 0123456789\n", 5<<16)
	for _, tt := range []struct {
		how string
		r   io.Reader
	}{
		{"at once", &chunks{in}},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(in))},
		{"in halves", iotest.HalfReader(strings.NewReader(in))},
		{"all at hand", bytes.NewReader([]byte(in))},
	} {
		got, err := decode(tt.r)
		if want := "message|x| / message|" + data + "|1 / message|y|1"; got != want || err != nil {
			t.Errorf("%s: got %d bytes, error %v; want %d", tt.how, len(got), err, len(want))
		}
	}
	want := "message|" + strings.TrimSuffix(strings.Repeat("0123456789\n", 5<<16), "\n") + "|"
	for _, cut := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.OneByteReader} {
		if got, err := decode(cut(strings.NewReader(lines + "\n"))); got != want || err != nil {
			t.Errorf("many lines: got %d bytes, error %v; want %d", len(got), err, len(want))
		}
	}
}

// Decoding an event allocates its strings and nothing else.
func TestDecodeAllocations(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector allocates as well")
	}
	x := strings.Repeat("x", 100)
	for _, tt := range []struct {
		block string
		want  float64
	}{
		{"data: " + x + "\n\n", 1},
		{"event: token\ndata: " + x + "\r\n\r\n", 1},
		{"id: 12345\ndata: " + x + "\ndata: " + x + "\n\n", 2},
		{"data\n\n", 0},
		{":\n: ping\nretry: 1000\ndata:\n\n", 0},
		{"data: " + strings.Repeat(x, 700) + "\n\n", 1},
	} {
		d := sse.NewDecoder(repeat(tt.block, 3000))
		for range 500 {
			d.Decode()
		}
		if n := testing.AllocsPerRun(2000, func() {
			if _, err := d.Decode(); err != nil {
				t.Fatal(err)
			}
		}); n != tt.want {
			t.Errorf("%.20q: %v allocations an event, want %v", tt.block, n, tt.want)
		}
	}
}

// A buffer that grew for a large event is not kept.
func TestDecodeForgetsLargeBuffer(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	d := sse.NewDecoder(r)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		io.Copy(w, io.MultiReader(strings.NewReader("data: "), repeat("x", 15<<20), strings.NewReader("\n\n")))
		io.WriteString(w, "data: y\n\n")
	}()
	for range 2 {
		if _, err := d.Decode(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 {
		t.Errorf("got %d KiB kept, want at most 4096", kept>>10)
	}
	runtime.KeepAlive(d)
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			block := "event: token\nid: 12345\ndata: " + strings.Repeat("x", size) + "\n\n"
			in := strings.Repeat(block, max(1, 64<<10/len(block)))
			off := 0
			d := sse.NewDecoder(readFunc(func(p []byte) (n int, _ error) {
				n = copy(p, in[off:])
				off = (off + n) % len(in)
				return n, nil
			}))
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
