package zstd

import (
	"cmp"
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// A Transport makes a client accept zstd, and gzip if the server has no zstd, and decodes
// the response, as [http.Transport] does with gzip alone:
//
//	client := sse.Client{URL: url, HTTPClient: &http.Client{Transport: &zstd.Transport{}}}
//
// A request that has an Accept-Encoding or a Range header is passed on as it is. A decoder
// needs about 1 MiB more than the window of the stream, for which 8 MiB is the limit.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

const maxWindow = 8 << 20

// RoundTrip sends the request. It may be called concurrently.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := cmp.Or(t.Base, http.DefaultTransport)
	if r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Range") != "" || r.Method == http.MethodHead {
		return base.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Encoding", "zstd, gzip")
	response, err := base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(response.Header.Get("Content-Encoding")) {
	case "zstd":
		response.Body = &body{encoded: response.Body, open: newDecoder}
	case "gzip":
		response.Body = &body{encoded: response.Body, open: func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }}
	default:
		return response, nil
	}
	response.Header.Del("Content-Encoding")
	response.Header.Del("Content-Length")
	response.ContentLength, response.Uncompressed = -1, true
	return response, nil
}

func newDecoder(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// A body decodes a response's body. The decoder is made at the first read, since it may
// read: the response has a head before it has a body.
type body struct {
	encoded io.ReadCloser
	open    func(io.Reader) (io.ReadCloser, error)
	decoded io.ReadCloser
	err     error
}

func (b *body) Read(p []byte) (int, error) {
	if b.decoded == nil && b.err == nil {
		b.decoded, b.err = b.open(b.encoded)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.decoded.Read(p)
}

// Close closes the response. It may be called while Read blocks, which ends then.
func (b *body) Close() error { return b.encoded.Close() }
