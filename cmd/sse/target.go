package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"example.org/sse"
)

// A target is a stream that a command requests, as an endpoint's flags describe it.
type target struct {
	url         string // without a user and a password
	shown       string // the URL as it may be printed
	method      string
	host        string // the Host header, if it is not the URL's
	header      http.Header
	lastEventID string // the Last-Event-ID header of the first request
	accept      string // the Accept-Encoding header, if -H sets it
	body        []byte // nil if the request has none
	http        *http.Client
	dial        func(ctx context.Context, network, addr string) (net.Conn, error)
}

// target returns the stream. A request fails if its response headers do not arrive
// within timeout; 0 means no limit. first limits -v to the first request.
func (e *endpoint) target(s *streams, timeout time.Duration, first bool) (*target, error) {
	u, err := e.url()
	if err != nil {
		return nil, err
	}
	t := &target{shown: redacted(u), method: cmp.Or(strings.ToUpper(e.Method), http.MethodGet)}
	if t.header, err = e.header(u); err != nil {
		return nil, err
	}
	// The header has the user: an error of net/http may contain the URL.
	u.User = nil
	t.url = u.String()
	// net/http ignores the first, sse.Client sets the second, and who decodes the third.
	t.host, t.lastEventID, t.accept = t.header.Get("Host"), t.header.Get("Last-Event-ID"), t.header.Get("Accept-Encoding")
	for _, name := range []string{"Host", "Last-Event-ID", "Accept-Encoding"} {
		t.header.Del(name)
	}
	if e.Data != "" {
		t.method = cmp.Or(strings.ToUpper(e.Method), http.MethodPost)
		if err := t.readBody(e.Data, s.in); err != nil {
			return nil, usage("--data: %w", err)
		}
	}
	if strings.Trim(t.method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		return nil, usage("-X %q is not a method; write it like -X POST", e.Method)
	}
	transport, err := e.transport(timeout)
	if err != nil {
		return nil, err
	}
	t.http, t.dial = &http.Client{Transport: transport}, transport.DialContext
	if e.Verbose {
		t.http.Transport = &tracer{next: transport, w: s.err, first: first}
	}
	return t, nil
}

// readBody reads the body and guesses its type.
func (t *target) readBody(data string, in io.Reader) (err error) {
	if name, ok := strings.CutPrefix(data, "@"); data == "-" || name == "-" && ok {
		t.body, err = io.ReadAll(in)
	} else if ok {
		t.body, err = os.ReadFile(name)
	} else {
		t.body = []byte(data)
	}
	if t.header.Get("Content-Type") == "" {
		t.header.Set("Content-Type", "text/plain; charset=utf-8")
		if text := bytes.TrimSpace(t.body); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			t.header.Set("Content-Type", "application/json")
		}
	}
	return err
}

// get reports whether the stream is requested as browsers do.
func (t *target) get() bool { return t.method == http.MethodGet && t.body == nil }

// client returns a new client of the stream.
func (t *target) client() *sse.Client {
	c := &sse.Client{
		URL:         t.url,
		HTTPClient:  t.http,
		Method:      t.method,
		Header:      t.header,
		ResumeAfter: t.lastEventID,
		OnRequest: func(r *http.Request) error {
			r.Host = cmp.Or(t.host, r.Host)
			return nil
		},
	}
	if t.body != nil {
		c.GetBody = func() (io.Reader, error) { return bytes.NewReader(t.body), nil }
	}
	return c
}

// request returns a request of the given method for the stream. It has the body if
// the method is that of the stream.
func (t *target) request(ctx context.Context, method string) (*http.Request, error) {
	var body io.Reader
	if t.body != nil && method == t.method {
		body = bytes.NewReader(t.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, t.url, body)
	if err != nil {
		return nil, err
	}
	r.Header = t.header.Clone()
	r.Host = cmp.Or(t.host, r.Host)
	if t.lastEventID != "" {
		r.Header.Set("Last-Event-ID", t.lastEventID)
	}
	if t.accept != "" {
		r.Header.Set("Accept-Encoding", t.accept)
	}
	setDefault(r.Header, "Accept", "text/event-stream")
	return r, nil
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}
