package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"example.org/sse/zstd"
)

// offered is the Accept-Encoding header of requests, unless -H sets another one.
const offered = "zstd, gzip"

// A meter is a transport that asks for compressed responses and decodes them. It counts
// the bytes of all responses, as they are sent and as they are decoded.
type meter struct {
	next          http.RoundTripper
	accept        string // the Accept-Encoding header
	coding        atomic.Value
	sent, decoded atomic.Int64
}

// decode makes the target's client ask for compressed responses.
func (t *target) decode() *meter {
	m := &meter{next: t.http.Transport, accept: cmp.Or(t.accept, offered)}
	t.http.Transport = m
	return m
}

// RoundTrip sends a request.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := (&zstd.Transport{Base: wire{m}}).RoundTrip(r)
	if err == nil {
		response.Body = counted{response.Body, &m.decoded}
	}
	return response, err
}

// A wire is the part of a meter below the decoder.
type wire struct{ *meter }

// RoundTrip sends a request, which is the decoder's own.
func (m wire) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Accept-Encoding", m.accept)
	response, err := m.next.RoundTrip(r)
	if err == nil {
		m.coding.Store(codingOf(response))
		response.Body = counted{response.Body, &m.sent}
	}
	return response, err
}

// compression returns what the responses so far have saved.
func (m *meter) compression() compression {
	coding, _ := m.coding.Load().(string)
	return compression{coding, m.sent.Load(), m.decoded.Load()}
}

// A compression is how a stream is compressed, as bench prints it with --json.
type compression struct {
	Coding  string `json:"coding"` // "" if it is not
	Sent    int64  `json:"sent_bytes"`
	Decoded int64  `json:"decoded_bytes"`
}

// saved returns what it saves, in percent.
func (c compression) saved() int64 { return 100 - 100*c.Sent/max(c.Decoded, 1) }

func (c compression) String() string {
	switch {
	case c.Coding == "":
		return "none"
	case c.Sent >= c.Decoded:
		return fmt.Sprintf("%s, which saves nothing: %d bytes instead of %d", c.Coding, c.Sent, c.Decoded)
	}
	return fmt.Sprintf("%s, which saves %d %%: %d bytes instead of %d", c.Coding, c.saved(), c.Sent, c.Decoded)
}

// codingOf returns the content coding of a response, "" if it has none.
func codingOf(r *http.Response) string {
	coding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ", "))
	if coding == "identity" {
		return ""
	}
	return coding
}

// A counted body counts its bytes.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
