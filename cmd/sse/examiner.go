package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"example.org/sse/internal/fetch"
)

// An examiner makes the doctor's requests to one URL.
type examiner struct {
	ctx    context.Context
	target *target
	wait   time.Duration

	mu      sync.Mutex
	headers []http.Header // of all responses
}

// addHeader records the header of a response.
func (x *examiner) addHeader(h http.Header) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.headers = append(x.headers, h)
}

// An answer is the response to another request than the stream's.
type answer struct {
	response *http.Response // nil if there was none
	endless  bool           // its body did not end in time
}

// try makes a HEAD, OPTIONS or TRACE request, or one of an unknown method.
func (x *examiner) try(method string) (a answer) {
	ctx, cancel := context.WithTimeout(x.ctx, min(x.wait, delayLimit))
	defer cancel()
	r, err := x.target.request(ctx, method)
	if err != nil {
		return a
	}
	if method == http.MethodOptions { // as before a cross-origin fetch
		r.Header.Set("Origin", "https://sse-doctor.example")
		r.Header.Set("Access-Control-Request-Method", x.target.method)
	}
	response, err := x.target.http.Transport.RoundTrip(r)
	if err != nil {
		return a
	}
	defer response.Body.Close()
	x.addHeader(response.Header)
	_, err = io.Copy(io.Discard, response.Body)
	return answer{response, err != nil}
}

// examine makes all requests and adds its findings to d.
func (x *examiner) examine(d *diagnosis) {
	var head, options answer
	var others sync.WaitGroup
	if x.target.get() {
		others.Go(func() { head = x.try(http.MethodHead) })
	}
	others.Go(func() { options = x.try(http.MethodOptions) })
	o := x.observe(x.wait, "", isSteady)
	others.Wait()
	// Servers answer these themselves, which identifies them: most TRACE, and
	// lighttpd an unknown method.
	for _, method := range []string{http.MethodTrace, "UNKNOWN"} {
		if o.timedOut && o.connected && o.response == nil && x.server() == nil {
			x.try(method)
		}
	}
	if !x.findAnswer(d, o) {
		return
	}
	findProtocol(d, o)
	x.findDelivery(d, o)
	x.findHeaders(d, o)
	findKeepAlive(d, o, x.wait)
	x.findEnd(d, o)
	if x.target.get() { // otherwise the client is no EventSource, which reconnects
		findRetry(d, o)
		x.findResumption(d, o)
		findHead(d, head)
	}
	findOptions(d, options)
}

// failureOf describes a failed request. Some servers that speak TLS just close a
// connection on which they hear plain HTTP.
func (x *examiner) failureOf(err error) failure {
	f := failureOf(err)
	if (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && x.speaksTLS() {
		return failure{speaksTLS, "Write https:// instead of http://."}
	}
	return f
}

// speaksTLS reports whether the port of a URL with http:// speaks TLS.
func (x *examiner) speaksTLS() bool {
	u, err := url.Parse(x.target.url)
	if err != nil || u.Scheme != "http" || x.target.dial == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(x.ctx, x.wait)
	defer cancel()
	c, err := x.target.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	if err != nil {
		return false
	}
	defer c.Close()                                                                  //nolint:errcheck // nothing was sent that could be lost
	err = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) //nolint:gosec // nothing is sent
	var alert *net.OpError                                                           // of a server that refuses this handshake
	return err == nil || errors.As(err, &alert) && alert.Op == "remote error"
}

// isStream reports whether browsers accept the response as a stream.
func isStream(r *http.Response) bool {
	return r.StatusCode == http.StatusOK && fetch.IsEventStream(r.Header)
}
