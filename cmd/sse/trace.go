package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
)

// A tracer is a transport that prints the heads of its requests and responses, as
// they are on the wire, for -v.
type tracer struct {
	next  http.RoundTripper
	first bool // only the first request is printed

	mu     sync.Mutex
	w      io.Writer
	traced bool // a request has been
}

// RoundTrip sends a request.
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	skip := t.first && t.traced
	t.traced = true
	t.mu.Unlock()
	if skip {
		return t.next.RoundTrip(r)
	}
	var lines []string
	version, host := "HTTP/1.1", cmp.Or(r.Host, r.URL.Host)
	trace := &httptrace.ClientTrace{
		WroteHeaderField: func(name string, values []string) {
			if strings.HasPrefix(name, ":") {
				version = "HTTP/2"
				return
			}
			for _, value := range values {
				lines = append(lines, header(name, value))
			}
		},
		WroteHeaders: func() {
			if version == "HTTP/2" {
				lines = slices.Insert(lines, 0, "Host: "+host) // there it is :authority
			}
			t.print("> ", slices.Insert(lines, 0, r.Method+" "+r.URL.RequestURI()+" "+version))
			lines = nil // the request may be sent again
		},
	}
	response, err := t.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return nil, err
	}
	answer := []string{response.Proto + " " + response.Status}
	for name, values := range response.Header {
		for _, value := range values {
			answer = append(answer, header(name, value))
		}
	}
	slices.Sort(answer[1:])
	t.print("< ", answer)
	return response, nil
}

// print prints lines, and an empty one.
func (t *tracer) print(prefix string, lines []string) {
	text := prefix + strings.Join(append(lines, ""), "\n"+prefix)
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.w, printable(masked(text))) //nolint:errcheck // there is nowhere else to report it
}

// header returns a line of a head, without the value if it is a secret. The scheme of
// an Authorization stays.
func header(name, value string) string {
	lower := strings.ToLower(name)
	secret := slices.ContainsFunc([]string{"authorization", "cookie", "token", "key", "secret", "password"}, func(word string) bool {
		return strings.Contains(lower, word)
	})
	if secret {
		kind, _, ok := strings.Cut(value, " ")
		value = "xxxxx"
		if ok && strings.HasSuffix(lower, "authorization") {
			value = kind + " xxxxx"
		}
	}
	return name + ": " + value
}
