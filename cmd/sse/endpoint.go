package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// An endpoint is the URL of a stream and how to request it.
type endpoint struct {
	URL      string   `arg:"" help:"The stream's URL; http:// may be omitted."`
	Headers  []string `short:"H" name:"header" sep:"none" placeholder:"NAME: VALUE" help:"Add a request header. May be repeated."`
	Insecure bool     `short:"k" help:"Do not verify TLS certificates."`
}

// url returns the stream's URL.
func (e *endpoint) url() (string, error) {
	text := e.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", usage("%q is not a valid URL: %w", e.URL, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", usage("%q is not an http or https URL", e.URL)
	case u.Hostname() == "" || strings.ContainsFunc(u.Host, unicode.IsSpace):
		return "", usage("%q has no host; write it like https://example.org/events", e.URL)
	}
	return u.String(), nil
}

// header returns the request headers.
func (e *endpoint) header() (http.Header, error) {
	h := make(http.Header)
	for _, line := range e.Headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usage("header %q has no name; write it like -H 'Name: value'", line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

// transport returns a new transport that opens a connection for each request. A
// request fails if its response headers do not arrive within timeout; 0 means no
// limit.
func (e *endpoint) transport(timeout time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = timeout
	t.MaxIdleConnsPerHost = -1
	if e.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the user asked for it
	}
	return t
}

// printable returns text with control characters escaped, so that it is safe to
// print on a terminal. Newlines and tabs stay.
func printable(text string) string {
	if !strings.ContainsFunc(text, isEscaped) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isEscaped(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isEscaped(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
