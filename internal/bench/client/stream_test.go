package client_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"example.org/sse/internal/bench/client"
)

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" +
	"X-Long: " + "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n"

// body returns a stream with these events, in the forms that the subjects have.
func body(events ...int) string {
	forms := []string{
		"data: seq=%d xxxx\n\n",
		"id: 17\nevent: message\ndata: seq=%d xxxx\ndata: yyyy\n\n",
		"data: {\"push\":{\"channel\":\"bench\",\"pub\":{\"data\":\"seq=%d xxxx\"}}}\r\n\r\n",
		"event: datastar-patch-elements\ndata: elements seq=%d " + strings.Repeat("x", 200) + "\n\n\n",
		":\nid: \ndata:seq=%d\nretry: 10\n\n",
		"data: none of ours\n\ndata: seq=%d x\n\n",
	}
	var b strings.Builder
	b.WriteString(":\n")
	for i, event := range events {
		fmt.Fprintf(&b, forms[i%len(forms)], event)
	}
	return b.String()
}

// chunked cuts the body into chunks anywhere, and ends it.
func chunked(body string, r *rand.Rand) string {
	var b strings.Builder
	for len(body) > 0 {
		n := 1 + r.IntN(min(len(body), 300))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// feed feeds the bytes in pieces of any length and returns the events.
func feed(s *client.Stream, bytes string, r *rand.Rand) (events []int, err error) {
	for len(bytes) > 0 && err == nil {
		n := 1 + r.IntN(min(len(bytes), 1+r.IntN(200)))
		err = s.Feed([]byte(bytes[:n]), func(event int) { events = append(events, event) })
		bytes = bytes[n:]
	}
	return events, err
}

func TestStreamSplitAnywhere(t *testing.T) {
	var want []int
	for i := range 40 {
		want = append(want, i)
	}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := new(client.Stream)
		bytes, ended := head+chunked(body(want...), r), true
		if seed%2 == 1 {
			s.SkipHead()
			bytes, ended = body(want...), false
		}
		got, err := feed(s, bytes, r)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || s.Ended() != ended {
			t.Fatalf("seed %d: got %v, ended %t, %v", seed, got, s.Ended(), err)
		}
	}
}

func TestStreamErrors(t *testing.T) {
	for _, test := range []struct{ name, bytes string }{
		{"another status", "HTTP/1.1 500 Internal Server Error\r\n\r\n"},
		{"no size", head + "x\r\n"},
		{"a negative size", head + "-1\r\n"},
		{"a chunk that is too long", head + "2\r\n:\nmore\r\n"},
		{"bytes after the end", head + "0\r\n\r\n:\n"},
		{"no blank line", head + "19\r\ndata: seq=1\ndata: seq=2\n\n\r\n"},
	} {
		if _, err := feed(new(client.Stream), test.bytes, rand.New(rand.NewPCG(1, 1))); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
}

func TestStreamCutOff(t *testing.T) {
	s := new(client.Stream)
	whole := head + chunked(body(1, 2), rand.New(rand.NewPCG(1, 1)))
	if _, err := feed(s, whole[:len(whole)-1], rand.New(rand.NewPCG(1, 1))); err != nil || s.Ended() {
		t.Errorf("a stream without its last byte: ended %t, %v", s.Ended(), err)
	}
}
