package sse

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.org/sse/internal/fetch"
)

const (
	errorBodySize = 4 << 10
	errorBodyWait = time.Second // a server may respond with 404 and then neither send nor end the body
)

// check returns an error if no request could succeed.
func (c *Client) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("sse: Client.URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("sse: Client.URL %.100q is not an absolute http or https URL", c.URL)
	case c.httpClient().Timeout != 0:
		return fmt.Errorf("sse: the Timeout of Client.HTTPClient, %v, would end every stream; leave it 0 and use IdleTimeout or the context", c.httpClient().Timeout)
	}
	return nil
}

func (c *Client) httpClient() *http.Client {
	return cmp.Or(c.HTTPClient, http.DefaultClient)
}

func (c *Client) method() string {
	switch {
	case c.Method != "":
		return c.Method
	case c.GetBody != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

// request returns the next request.
func (c *Client) request(ctx context.Context) (*http.Request, error) {
	r, err := c.requestWithBody(ctx)
	if err != nil {
		return nil, err
	}
	if c.Header != nil {
		r.Header = c.Header.Clone()
	}
	setDefault(r.Header, "Accept", "text/event-stream")
	setDefault(r.Header, "Cache-Control", "no-cache") // which Fetch sends in the cache mode "no-store"
	r.Header.Del("Last-Event-ID")
	if id, ok := fetch.LastEventID(c.LastEventID()); ok {
		r.Header.Set("Last-Event-ID", id)
	}
	if c.OnRequest != nil {
		if err := c.OnRequest(r); err != nil {
			return nil, fmt.Errorf("sse: Client.OnRequest: %w", err)
		}
	}
	return r, checkHeader(r.Header)
}

// requestWithBody returns a request without headers.
func (c *Client) requestWithBody(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.GetBody != nil {
		var err error
		if body, err = c.GetBody(); err != nil {
			return nil, fmt.Errorf("sse: Client.GetBody: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, c.method(), c.URL, body)
	if err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	if c.GetBody != nil && r.GetBody == nil {
		r.GetBody = c.bodyAgain
	}
	return r, nil
}

// bodyAgain returns another body for a redirect that repeats the method.
func (c *Client) bodyAgain() (io.ReadCloser, error) {
	body, err := c.GetBody()
	if closer, ok := body.(io.ReadCloser); ok || err != nil {
		return closer, err
	}
	return io.NopCloser(body), nil
}

// checkHeader returns an error for a header that net/http does not send. The error
// of net/http itself looks like a network error, after which the client would
// reconnect forever.
func checkHeader(h http.Header) error {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // RFC 9110, section 5.6.2
	for name, values := range h {
		if name == "" || strings.Trim(name, token) != "" {
			return fmt.Errorf("sse: invalid header name %.100q", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("sse: the value of header %s contains a control byte", name) // not the value, which may be a secret
			}
		}
	}
	return nil
}

// A ResponseError ends a [Client]'s loop, unless the client is Persistent and the
// status may pass: the server responded, but not with an event stream.
type ResponseError struct {
	StatusCode int
	Header     http.Header
	Body       []byte // at most the first 4 KiB that arrived within a second
}

// Error returns the status, or for a 200 the reason why the response is not an
// event stream, and the beginning of the body.
func (e *ResponseError) Error() string {
	what := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.StatusCode == http.StatusOK {
		what = fmt.Sprintf("Content-Type %q", strings.Join(e.Header.Values("Content-Type"), ", "))
		if encoding := e.Header.Get("Content-Encoding"); encoding != "" {
			what += fmt.Sprintf(" and Content-Encoding %q", encoding)
		}
	}
	return fmt.Sprintf("sse: the server answered with %s where an event stream was asked for; the body begins %.100q", what, e.Body)
}

func newResponseError(r *http.Response) *ResponseError {
	body, err := io.ReadAll(io.LimitReader(r.Body, errorBodySize))
	_ = err // the bytes before it are enough
	return &ResponseError{StatusCode: r.StatusCode, Header: r.Header, Body: body}
}

// isStream reports whether the response is an event stream: a 200 of that type
// ("If res's status is not 200, or if res's Content-Type is not text/event-stream,
// then fail the connection"), in no encoding except those that net/http has undone.
func isStream(r *http.Response) bool {
	encoding := r.Header.Get("Content-Encoding")
	return r.StatusCode == http.StatusOK && fetch.IsEventStream(r.Header) &&
		(encoding == "" || strings.EqualFold(encoding, "identity"))
}
