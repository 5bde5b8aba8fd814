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

// An endpoint is where a stream is, and how it is asked for.
type endpoint struct {
	URL      string   `arg:"" help:"Where the stream is; http:// may be left out."`
	Headers  []string `short:"H" name:"header" sep:"none" placeholder:"NAME: VALUE" help:"A header to send. May be given several times."`
	Insecure bool     `short:"k" help:"Take any TLS certificate."`
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
		return "", usage("%q is no URL: %w", e.URL, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", usage("%q is no http or https URL", e.URL)
	case u.Hostname() == "" || strings.ContainsFunc(u.Host, unicode.IsSpace):
		return "", usage("%q names no host; write it like https://example.org/events", e.URL)
	}
	return u.String(), nil
}

// header returns the headers to send.
func (e *endpoint) header() (http.Header, error) {
	h := make(http.Header)
	for _, line := range e.Headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usage("the header %q has no name; write it like -H 'Name: value'", line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

// transport returns a transport of the command's own, so that nothing it asks
// goes over a connection that something else has used. A server that has not
// begun to answer after patience is given up.
func (e *endpoint) transport(patience time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = patience
	t.MaxIdleConnsPerHost = -1
	if e.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as asked for
	}
	return t
}

// printable returns text that does nothing to a terminal but being shown.
// Newlines and tabs stay.
func printable(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
