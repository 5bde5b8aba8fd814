// Package decode_test measures decoders of event streams side by side, on the same
// bytes in memory:
//
//	go -C internal/bench test -run '^$' -bench . ./decode
package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	ld "github.com/launchdarkly/eventsource"
	"github.com/openai/openai-go/v3/packages/ssestream"
	r3 "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
	"gopkg.in/cenkalti/backoff.v1"

	"example.org/sse"
)

const largest = 1 << 20 // of an event, where that has to be said

// decoders count the events of a stream.
var decoders = []struct {
	name  string
	count func(io.Reader) (int, error)
}{
	{"ours", ours},
	{"go-sse", goSSE},
	{"launchdarkly", launchDarkly},
	{"openai-go", openAI},
	{"r3labs", r3labs},
}

func ours(r io.Reader) (n int, err error) {
	for _, err := range sse.Events(r) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func goSSE(r io.Reader) (n int, err error) {
	for _, err := range tmaxmax.Read(r, &tmaxmax.ReadConfig{MaxEventSize: largest}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func launchDarkly(r io.Reader) (n int, err error) {
	for d := ld.NewDecoder(r); ; n++ {
		if _, err := d.Decode(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

func openAI(r io.Reader) (n int, err error) {
	d := ssestream.NewDecoder(&http.Response{Body: io.NopCloser(r), Header: http.Header{"Content-Type": {"text/event-stream"}}})
	for d.Next() {
		_ = d.Event()
		n++
	}
	return n, d.Err()
}

// r3labs does not export what decodes: its client is what does.
func r3labs(r io.Reader) (n int, err error) {
	c := r3.NewClient("http://memory/", r3.ClientMaxBufferSize(largest))
	c.Connection = &http.Client{Transport: roundTrip(func(q *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(r), Request: q}, nil
	})}
	c.ReconnectStrategy = &backoff.StopBackOff{}
	err = c.SubscribeRaw(func(*r3.Event) { n++ })
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A repeated reader reads the same block so many times.
type repeated struct {
	block []byte
	left  int
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.block[r.at:])
	if r.at += n; r.at == len(r.block) {
		r.at, r.left = 0, r.left-1
	}
	return n, nil
}

// stream returns a block of events with data of that size, and how many it has.
func stream(size int) (block []byte, events int) {
	event := "event: token\nid: 12345\ndata: " + strings.Repeat("x", size) + "\n\n"
	events = max(1, (1<<20)/len(event))
	return bytes.Repeat([]byte(event), events), events
}

// TestDecoders holds what the benchmark takes for granted: each decoder sees all
// events.
func TestDecoders(t *testing.T) {
	block, events := stream(1024)
	for _, d := range decoders {
		if n, err := d.count(&repeated{block: block, left: 2}); n != 2*events || err != nil {
			t.Errorf("%s: %d of %d events, error %v", d.name, n, 2*events, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 1024, 64 << 10} {
		block, events := stream(size)
		for _, d := range decoders {
			b.Run(fmt.Sprintf("%dB/%s", size, d.name), func(b *testing.B) {
				b.SetBytes(int64(len(block)))
				b.ReportAllocs()
				if _, err := d.count(&repeated{block: block, left: b.N}); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
			})
		}
	}
}
