package sse_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

// endsWithoutReconnect makes the test fail if the client reconnects. The context that
// it returns is then done, so that the loop ends.
func endsWithoutReconnect(t *testing.T, what string, client *sse.Client) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	client.OnError = func(err error, _ time.Duration) {
		t.Errorf("%s: got a reconnect after %v, want none", what, err)
		cancel()
	}
	return ctx
}

// A redirect that cannot be followed ends the loop with an error that names its
// Location, without secrets.
func TestClientBadRedirect(t *testing.T) {
	for _, tt := range []struct{ location, named, message string }{
		{"http://[::1", "http://[::1", "missing ']'"},
		{"/%zz", "/%zz", "invalid URL escape"},
		{"http://one.test:x/", "http://one.test:x/", "invalid port"},
		{"ftp://one.test/x", "ftp://one.test/x", "unsupported protocol scheme"},
		{"data:text/event-stream,data:x", "data:text/event-stream,data:x", "unsupported protocol scheme"},
		{"ftp://me:secret@one.test/", "ftp://me:xxxxx@one.test/", "unsupported protocol scheme"},
		{"http:///x", "http:///x", "no Host"},
		{"/", "/", "stopped after 10 redirects"},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, slices.Repeat([]http.HandlerFunc{answers(302, "", "Location", tt.location)}, 20)...)
			client.Persistent = true
			ctx := endsWithoutReconnect(t, tt.location, client)
			events, err := all(t, ctx, client)
			if len(events) > 0 || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the redirect to %q", tt.named)) ||
				!strings.Contains(err.Error(), tt.message) || !strings.HasPrefix(err.Error(), "sse: ") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %q, error %v; want one that names it and says %s", tt.location, events, err, tt.message)
			}
			if n := len(script.got()); n != 1 && tt.location != "/" {
				t.Errorf("%s: got %d requests, want 1", tt.location, n)
			}
		})
	}
}

// A GetBody that fails for a redirect, a CheckRedirect that does, a URL that
// OnRequest breaks, and a port that cannot be, end the loop too.
func TestClientCannotRequest(t *testing.T) {
	fails := errors.New("fails")
	for _, tt := range []struct {
		what    string
		change  func(*sse.Client)
		message string
	}{
		{"GetBody", func(c *sse.Client) {
			n := 0
			c.GetBody = func() (io.Reader, error) {
				if n++; n > 1 {
					return nil, fails
				}
				return io.LimitReader(strings.NewReader("x"), 1), nil
			}
		}, `the redirect to "/there"`},
		{"CheckRedirect", func(c *sse.Client) {
			c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return fails }
		}, `the redirect to "/there"`},
		{"OnRequest", func(c *sse.Client) {
			c.OnRequest = func(r *http.Request) error { r.URL.Scheme = "ftp"; return nil }
		}, `unsupported protocol scheme "ftp"`},
		{"port", func(c *sse.Client) {
			c.URL = "http://127.0.0.1:99999/"
			c.HTTPClient = &http.Client{Transport: new(http.Transport)}
		}, "invalid port"},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			_, client := tr.scripted(t, answers(307, "", "Location", "/there"), says("data: x\n\n"))
			tt.change(client)
			ctx := endsWithoutReconnect(t, tt.what, client)
			events, err := all(t, ctx, client)
			if len(events) > 0 || err == nil || !strings.Contains(err.Error(), tt.message) || !strings.HasPrefix(err.Error(), "sse: ") {
				t.Errorf("%s: got %q, error %v; want %s", tt.what, events, err, tt.message)
			}
		})
	}
}

// These statuses end the loop as they do in browsers, and with Persistent they do
// not. Others always do.
func TestClientUnavailable(t *testing.T) {
	for _, tt := range []struct {
		status     int
		persistent bool
		reconnects bool
	}{
		{429, false, false}, {502, false, false}, {503, false, false}, {504, false, false},
		{429, true, true}, {502, true, true}, {503, true, true}, {504, true, true},
		{400, true, false}, {401, true, false}, {404, true, false}, {500, true, false}, {501, true, false}, {505, true, false},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, says("data: x\n\n"), answers(tt.status, "busy"), answers(tt.status, "busy"), says("data: y\n\n"))
			client.Persistent = tt.persistent
			var waits []time.Duration
			client.OnError = func(err error, wait time.Duration) {
				var refused *sse.ResponseError
				if errors.As(err, &refused) && refused.StatusCode == tt.status && string(refused.Body) == "busy" {
					waits = append(waits, wait.Truncate(3*time.Second))
				} else if err != io.EOF {
					t.Errorf("%d: OnError got %v, want EOF or the status", tt.status, err)
				}
			}
			events, err := all(t, t.Context(), client)
			if tt.reconnects {
				if len(events) != 2 || err != nil || len(waits) != 2 || waits[0] != 3*time.Second || waits[1] < 6*time.Second {
					t.Errorf("%d: got %q, error %v, after waits of %v; want two events after 3 s and 6 s", tt.status, events, err, waits)
				}
				return
			}
			var refused *sse.ResponseError
			if !errors.As(err, &refused) || refused.StatusCode != tt.status || len(events) != 1 || len(script.got()) != 2 || len(waits) > 0 {
				t.Errorf("%d: got %q, error %v, %d requests; want one event, a ResponseError, 2 requests", tt.status, events, err, len(script.got()))
			}
		})
	}
}

// The wait is at least what the server asks for.
func TestClientRetryAfter(t *testing.T) {
	const s = time.Second
	date := func(d time.Duration) string { // in a bubble, time begins here
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	for _, tt := range []struct {
		value       string
		first, then time.Duration
	}{
		{"", 3 * s, 6 * s},
		{"10", 10 * s, 10 * s},
		{"5", 5 * s, 6 * s},
		{"1", 3 * s, 6 * s},
		{"0", 3 * s, 6 * s},
		{"-10", 3 * s, 6 * s},
		{"+10", 3 * s, 6 * s},
		{"10.5", 3 * s, 6 * s},
		{"soon", 3 * s, 6 * s},
		{"3600", time.Hour, time.Hour},
		{"3601", time.Hour, time.Hour},
		{"99999999999999999999", time.Hour, time.Hour},
		{date(20 * s), 20 * s, 6 * s},
		{date(-20 * s), 3 * s, 6 * s},
		{date(1000 * time.Hour), time.Hour, time.Hour},
		{time.Date(2000, 1, 1, 0, 0, 30, 0, time.UTC).Format(time.ANSIC), 30 * s, 6 * s},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			busy := answers(503, "", "Retry-After", tt.value)
			script, client := tr.scripted(t, busy, busy)
			client.Persistent = true
			var waits []time.Duration
			client.OnError = func(_ error, wait time.Duration) { waits = append(waits, wait) }
			if _, err := all(t, t.Context(), client); err != nil || len(waits) != 2 {
				t.Fatalf("%q: got error %v after %d waits, want none after 2", tt.value, err, len(waits))
			}
			for i, want := range []time.Duration{tt.first, tt.then} {
				if waits[i] < want || waits[i] > want+want/2 {
					t.Errorf("%q: waited %v, want %v and %v", tt.value, waits, tt.first, tt.then)
				}
			}
			if r := script.got(); r[1].at.Sub(r[0].at) != waits[0] {
				t.Errorf("%q: waited %v, want %v as OnError got", tt.value, r[1].at.Sub(r[0].at), waits[0])
			}
		})
	}
}

// A host that does not exist and a certificate that cannot be verified end the loop
// of a client that has never had a stream. To another one they are lost connections.
func TestClientFirstConnection(t *testing.T) {
	unknown := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true}}
	}}
	slow := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "nowhere.test", IsTimeout: true}}
	}}
	untrusted := func(t *testing.T) http.RoundTripper {
		l := memhttp.Listen(socketBuffer)
		server := httptest.NewUnstartedServer(says("data: never\n\n"))
		server.Listener.Close()
		server.Listener = l
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			r.URL.Scheme = "https"
			transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{ServerName: "example.com"}, DisableKeepAlives: true}
			return transport.RoundTrip(r)
		})
	}
	for _, tt := range []struct {
		what       string
		failure    func(*testing.T) http.RoundTripper
		opened     bool
		persistent bool
		reconnects bool
		message    string
	}{
		{"unknown host", func(*testing.T) http.RoundTripper { return unknown }, false, false, false, "no such host"},
		{"unknown host", func(*testing.T) http.RoundTripper { return unknown }, true, false, true, "no such host"},
		{"unknown host", func(*testing.T) http.RoundTripper { return unknown }, false, true, true, "no such host"},
		{"slow resolver", func(*testing.T) http.RoundTripper { return slow }, false, false, true, "i/o timeout"},
		{"certificate", untrusted, false, false, false, "failed to verify certificate"},
		{"certificate", untrusted, true, false, true, "failed to verify certificate"},
		{"certificate", untrusted, false, true, true, "failed to verify certificate"},
	} {
		t.Run(fmt.Sprintf("%s, opened %v, persistent %v", tt.what, tt.opened, tt.persistent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				good, bad, attempts := transports[0].serve(t, says("data: x\n\n")).client.Transport, tt.failure(t), 0
				client := sse.Client{URL: "http://memory/", Persistent: tt.persistent}
				client.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if attempts++; (attempts%2 == 1) == tt.opened {
						return good.RoundTrip(r)
					}
					return bad.RoundTrip(r)
				})}
				var lost []string
				client.OnError = func(err error, _ time.Duration) { lost = append(lost, err.Error()) }
				events := 0
				var last error
				loop := func() {
					for _, err := range client.Events(t.Context()) {
						if last = err; err == nil {
							events++
							break
						}
					}
				}
				if loop(); tt.opened {
					loop() // with a failure before its event
				}
				switch {
				case !tt.reconnects && (events > 0 || last == nil || len(lost) > 0 || !strings.Contains(last.Error(), tt.message) || !strings.HasPrefix(last.Error(), "sse: ")):
					t.Errorf("got %d events, error %v, after %q; want the error %s at once", events, last, lost, tt.message)
				case tt.reconnects && (last != nil || len(lost) == 0 || !strings.Contains(lost[len(lost)-1], tt.message)):
					t.Errorf("got %d events, error %v, after %q; want a reconnection after %s", events, last, lost, tt.message)
				}
			})
		})
	}
}
