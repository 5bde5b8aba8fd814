package sse_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/clauses"
)

// An event is decoded as it was sent, and again if the result is sent on.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "message", "x", "a\nb", "a\r\nb\r", "\x00", "\uFEFF", "\xff\xfe", "data: x", "id: 1\n\ndata: 2", ":", " a ", "\n\n\n"} {
		f.Add(s, s, s, int64(0))
		f.Add("t", s, "7", int64(1500))
	}
	f.Add("", "", "", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, typ, data, id string, retry int64) {
		e := sse.Event{Type: typ, Data: data, ID: id, Retry: time.Duration(retry)}
		sent, err := wire(t, e)
		if err != nil {
			return // FuzzEvent checks these
		}
		want := sse.Event{Type: asBrowser(typ), Data: asBrowser(lineEnds.Replace(data)), ID: asBrowser(id)}
		if want.Type == "" {
			want.Type = "message"
		}
		const ms = int64(time.Millisecond)
		if want.Retry = e.Retry; retry%ms > 0 {
			if want.Retry = math.MaxInt64; retry < math.MaxInt64/ms*ms {
				want.Retry = time.Duration(retry/ms*ms + ms)
			}
		}
		got := decodeOne(t, sent)
		if got != want {
			t.Fatalf("%+v: got %+v, want %+v; wire %q", e, got, want, sent)
		}
		sent, err = wire(t, got)
		if again := decodeOne(t, sent); err != nil || again != got {
			t.Fatalf("%+v: sent on, got %+v, error %v; wire %q", got, again, err, sent)
		}
	})
}

// decodeOne decodes a stream of one event.
func decodeOne(t *testing.T, stream string) (e sse.Event) {
	n := 0
	for event, err := range sse.Events(strings.NewReader(stream)) {
		if e = event; err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%q: got %d events, want 1", stream, n)
	}
	return e
}

// Whatever the stream, the Decoder returns the same events as the tests' own decoder,
// which is simple and slow.
func FuzzDecode(f *testing.F) {
	for _, tt := range clauses.All {
		f.Add(tt.In)
		f.Add(strings.ReplaceAll(tt.In, "\n", "\r"))
		f.Add(mixedLineEnds(tt.In))
	}
	f.Add("data: x\r\r\n\n\r\ndata: y\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		comments := 0
		d := sse.NewDecoder(strings.NewReader(in))
		d.OnComment = func(string) { comments++ }
		reference := newDecoder(strings.NewReader(in))
		for {
			want, end := reference.next()
			got, err := d.Decode()
			if err != end {
				t.Fatalf("%q: got %+v, error %v; want %q, %v", in, got, err, want, end)
			}
			if end != nil {
				break
			}
			if m := (message{got.Type, got.Data, got.ID}); m != (message{asBrowser(want.typ), asBrowser(want.data), asBrowser(want.id)}) || got.ID != d.LastEventID {
				t.Fatalf("%q: got %q, want %q", in, m, want)
			}
		}
		if comments != reference.comments {
			t.Fatalf("%q: got %d comments, want %d", in, comments, reference.comments)
		}
		ms, _ := new(big.Int).SetString("0"+reference.retry, 10)
		if limit := big.NewInt(math.MaxInt64 / int64(time.Millisecond)); ms.Cmp(limit) > 0 {
			ms = limit
		}
		if got := d.Retry.Milliseconds(); got != ms.Int64() {
			t.Fatalf("%q: got retry %d, want %q", in, got, reference.retry)
		}
	})
}

// Events and errors do not depend on how the stream is cut into reads, with a limit
// or without.
func FuzzChunks(f *testing.F) {
	for i, tt := range clauses.All {
		f.Add(tt.In, uint64(i), 0)
		f.Add(mixedLineEnds(tt.In), uint64(i), len(tt.In)/2)
	}
	f.Add(strings.Repeat("data: 0123456789\r\n", 1000)+"\r\n", uint64(1), 0)
	f.Fuzz(func(t *testing.T, in string, seed uint64, most int) {
		all := func(r io.Reader) string {
			var b strings.Builder
			d := sse.NewDecoder(r)
			d.MaxEvent = most
			d.OnComment = func(text string) { fmt.Fprintf(&b, "comment %q\n", text) }
			for {
				e, err := d.Decode()
				if err != nil {
					if errors.Is(err, sse.ErrTooLarge) != (err != io.EOF) {
						t.Fatalf("%q: got error %v, want ErrTooLarge or io.EOF", in, err)
					}
					fmt.Fprintf(&b, "%q, %v, %v", d.LastEventID, d.Retry, err)
					return b.String()
				}
				fmt.Fprintf(&b, "%+v\n", e)
			}
		}
		if got, want := all(random(strings.NewReader(in), seed)), all(strings.NewReader(in)); got != want {
			t.Fatalf("%q: got in chunks\n%s\nwant\n%s", in, got, want)
		}
	})
}

// random returns a reader that reads r in pieces of random sizes, most of them small.
func random(r io.Reader, seed uint64) io.Reader {
	rng := rand.New(rand.NewPCG(seed, 0))
	return readFunc(func(p []byte) (int, error) {
		most := 1 + rng.IntN(1+rng.IntN(20))
		if rng.IntN(10) == 0 {
			return 0, nil
		}
		return r.Read(p[:min(len(p), most)])
	})
}
