package sse

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A ResponseError is why a [Client] gave up: the server answered, and with
// something else than an event stream.
type ResponseError struct {
	StatusCode int
	Header     http.Header
	Body       []byte // the first 4 KiB at most, of what came within a second
}

// Error tells the status, or what it is about a 200 that is no event stream, and
// how the body begins.
func (e *ResponseError) Error() string {
	what := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.StatusCode == http.StatusOK {
		what = fmt.Sprintf("Content-Type %q", e.Header.Get("Content-Type"))
		if encoding := e.Header.Get("Content-Encoding"); encoding != "" {
			what += fmt.Sprintf(" and Content-Encoding %q", encoding)
		}
	}
	return fmt.Sprintf("sse: the server answered with %s where an event stream was asked for; the body begins %.100q", what, e.Body)
}

const (
	errorBodySize = 4 << 10
	errorBodyWait = time.Second // a server that answers 404 may say nothing more, and not end
)

func newResponseError(r *http.Response) *ResponseError {
	body, err := io.ReadAll(io.LimitReader(r.Body, errorBodySize))
	_ = err // what came before it will do
	return &ResponseError{StatusCode: r.StatusCode, Header: r.Header, Body: body}
}

// isStream reports whether the response is an event stream: a 200 whose type is
// text/event-stream, whatever its parameters ("If res's status is not 200, or if
// res's Content-Type is not text/event-stream, then fail the connection"), in no
// encoding that net/http has not undone.
func isStream(r *http.Response) bool {
	essence, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	encoding := r.Header.Get("Content-Encoding")
	return r.StatusCode == http.StatusOK && strings.EqualFold(strings.TrimSpace(essence), "text/event-stream") &&
		(encoding == "" || strings.EqualFold(encoding, "identity"))
}
