package sse

import (
	"net/http"
	"strconv"
	"strings"

	"example.org/sse/internal/coding"
)

// A Coding is a content coding in which streams can be compressed: [Gzip], or one of
// another module. See [AcceptOptions].
type Coding = coding.Coding

// Gzip returns gzip, as every client and proxy knows it. Its window is 32 KiB: for pages
// that are larger it saves what it can within each page, and nothing between two of them.
func Gzip() Coding { return coding.Gzip }

// negotiate returns the coding of the response to a request, none if the response has a
// coding already, and sets its headers.
func (o *AcceptOptions) negotiate(h http.Header, r *http.Request) Coding {
	if o == nil || len(o.Compress) == 0 {
		return Coding{}
	}
	addVary(h)
	if h.Get("Content-Encoding") != "" {
		return Coding{}
	}
	accepted := parseAccepted(r.Header.Values("Accept-Encoding"))
	best, most := Coding{}, accepted["identity"]
	for _, c := range o.Compress {
		if q := accepted.quality(c.String()); q > 0 && !c.IsNone() && (q > most || q == most && best.IsNone()) {
			best, most = c, q
		}
	}
	if !best.IsNone() {
		h.Set("Content-Encoding", best.String())
	}
	return best
}

// addVary has caches keep responses apart by Accept-Encoding.
func addVary(h http.Header) {
	const name = "Accept-Encoding"
	for _, value := range h.Values("Vary") {
		for v := range strings.SplitSeq(value, ",") {
			if v = strings.TrimSpace(v); v == "*" || strings.EqualFold(v, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

// accepted is a parsed Accept-Encoding: the quality of each coding that it names, in
// thousandths.
type accepted map[string]int

// parseAccepted parses the values of Accept-Encoding (RFC 9110, section 12.5.3). An
// entry that is malformed counts as one with the quality 0.
func parseAccepted(values []string) accepted {
	a := make(accepted)
	for _, value := range values {
		for entry := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(entry, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "x-gzip" {
				name = "gzip"
			}
			if name != "" {
				a[name] = quality(parameters)
			}
		}
	}
	return a
}

func quality(parameters string) int {
	name, value, found := strings.Cut(strings.TrimSpace(parameters), "=")
	if !found && name == "" {
		return 1000
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return int(q * 1000)
}

func (a accepted) quality(name string) int {
	if q, ok := a[name]; ok {
		return q
	}
	return a["*"]
}
