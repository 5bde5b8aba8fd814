package main

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A visit is all that the doctor asks a server.
type visit struct {
	ctx       context.Context
	transport *http.Transport
	url       string
	header    http.Header
	wait      time.Duration

	mu      sync.Mutex
	headers []http.Header // of all answers
}

// met notes the headers of an answer.
func (v *visit) met(h http.Header) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.headers = append(v.headers, h)
}

// between returns who stands between, and whether nginx does.
func (v *visit) between() (names []string, nginx bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range v.headers {
		server := strings.ToLower(h.Get("Server"))
		nginx = nginx || strings.Contains(server, "nginx") || strings.Contains(server, "openresty")
	}
	return between(v.headers), nginx
}

func (v *visit) request(ctx context.Context, method string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, v.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header = v.header.Clone()
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/event-stream")
	}
	return r, nil
}

// An answer is that to a request with another method than GET.
type answer struct {
	response *http.Response // nil if none came
	endless  bool           // its body did not end in time
}

// ask makes a request with another method than GET.
func (v *visit) ask(method string) (a answer) {
	ctx, cancel := context.WithTimeout(v.ctx, min(v.wait, patience))
	defer cancel()
	r, err := v.request(ctx, method)
	if err != nil {
		return a
	}
	if method == http.MethodOptions { // as before a cross-origin fetch
		r.Header.Set("Origin", "https://sse-doctor.example")
		r.Header.Set("Access-Control-Request-Method", http.MethodGet)
	}
	response, err := v.transport.RoundTrip(r)
	if err != nil {
		return a
	}
	defer response.Body.Close()
	v.met(response.Header)
	_, err = io.Copy(io.Discard, response.Body)
	return answer{response, err != nil}
}

// examine makes all requests and adds what it finds.
func (v *visit) examine(d *diagnosis) {
	var head, options answer
	var others sync.WaitGroup
	others.Go(func() { head = v.ask(http.MethodHead) })
	others.Go(func() { options = v.ask(http.MethodOptions) })
	l := v.look(v.wait, "", steady)
	others.Wait()
	if _, nginx := v.between(); l.response == nil && !nginx && l.timedOut {
		v.ask(http.MethodTrace) // proxies answer it themselves, and say who they are
	}
	if !v.answered(d, l) {
		return
	}
	v.protocol(d, l)
	v.delivered(d, l)
	v.hints(d, l)
	keptAlive(d, l, v.wait)
	ended(d, l)
	reconnection(d, l)
	v.resumes(d, l)
	methods(d, head, options)
}

func isStreamType(h http.Header) bool {
	essence, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return essence == "text/event-stream" && err == nil
}

// streams200 reports whether browsers take a response for a stream.
func streams200(r *http.Response) bool {
	return r.StatusCode == http.StatusOK && isStreamType(r.Header)
}
