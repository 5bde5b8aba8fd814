package sse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxRetryAfter is the longest wait that a Retry-After can demand. A client that asks
// once an hour costs a server nothing, and notices that a date was wrong.
const maxRetryAfter = time.Hour

// A lostError is the end of a connection after which the client reconnects.
type lostError struct {
	error
	atLeast time.Duration // the minimum of the wait
	unsent  bool          // the server cannot have seen the request
}

// lost returns the lostError for an error of the connection.
func (s *connection) lost(err error) lostError {
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause // rather than the error that net/http makes of it
	}
	return lostError{error: err}
}

// hops is the transport of one connection. It records the last of the requests that
// net/http makes for it, of which there are several if there are redirects.
type hops struct {
	http.RoundTripper
	request  *http.Request
	response *http.Response // nil if the request failed
}

// RoundTrip is called by the goroutine that calls [http.Client.Do].
func (h *hops) RoundTrip(r *http.Request) (*http.Response, error) {
	h.request, h.response = r, nil
	response, err := h.RoundTripper.RoundTrip(r)
	if err == nil {
		h.response = response
	}
	return response, err
}

// redirect returns the Location that could not be followed, if that is why there
// is no response. The errors of net/http do not say so.
func (h *hops) redirect() (location string, ok bool) {
	switch {
	case h.request == nil:
		return "", false
	case h.response != nil:
		location = h.response.Header.Get("Location")
	case h.request.Response != nil && !isHTTP(h.request.URL):
		location = h.request.Response.Header.Get("Location")
	default:
		return "", false
	}
	if u, err := url.Parse(location); err == nil {
		location = u.Redacted()
	}
	return location, true
}

func isHTTP(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" }

// failed returns the error of a request without a response.
func (s *connection) failed(err error, h *hops) error {
	if s.ctx.Err() != nil {
		return s.lost(err)
	}
	if location, ok := h.redirect(); ok {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // without the URL, which may be either
		}
		return fmt.Errorf("sse: cannot follow the redirect to %.200q: %w", location, err)
	}
	var address *net.AddrError
	if h.request == nil || !isHTTP(h.request.URL) || errors.As(err, &address) {
		return fmt.Errorf("sse: cannot make the request: %w", err)
	}
	if !s.client.Persistent && !s.client.opened && isMistake(err) {
		return fmt.Errorf("sse: first connection failed (not retried unless Persistent): %w", err)
	}
	lost := s.lost(err)
	var op *net.OpError
	lost.unsent = errors.As(err, &op) && op.Op == "dial" && h.request.Response == nil
	return lost
}

// isMistake reports whether a client's first connection fails for a reason that is
// more likely a mistake than an outage.
func isMistake(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError // a transport's own checks return these
		invalid     x509.CertificateInvalidError
		host        x509.HostnameError
		dns         *net.DNSError
	)
	return errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &invalid) || errors.As(err, &host) ||
		errors.As(err, &dns) && dns.IsNotFound
}

// refused returns the error for a response that is not a stream.
func (s *connection) refused(response *http.Response) error {
	defer time.AfterFunc(errorBodyWait, func() { s.cancel(nil) }).Stop()
	refusal := newResponseError(response)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s.client.Persistent {
			return lostError{error: refusal, atLeast: retryAfter(response.Header)}
		}
	}
	return refusal
}

// retryAfter returns how long a server asks its client to wait, 0 if it does not.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-10.2.3
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if t, ok := parseRetry([]byte(value)); ok { // of digits, too; but in seconds
		return min(t, maxRetryAfter/1000) * 1000
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(date), 0), maxRetryAfter)
	}
	return 0
}

// final returns the error of the loop if the client does not reconnect.
func (c *Client) final(lost lostError) error {
	var refusal *ResponseError
	switch {
	case lost.error == io.EOF: //nolint:errorlint // the end of the stream; an error that wraps it is a failure
		return nil
	case errors.As(lost.error, &refusal):
		return lost.error
	case c.Retry >= 0:
		return fmt.Errorf("sse: stream failed (not retried; a %s is with Client.RepeatPost): %w", c.method(), lost.error)
	}
	return fmt.Errorf("sse: stream failed (not retried): %w", lost.error)
}
