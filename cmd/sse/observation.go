package main

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"example.org/sse"
	"example.org/sse/internal/fetch"
)

const (
	burstGap   = 20 * time.Millisecond  // bytes that arrive within this time belong to one burst
	delayLimit = 2 * time.Second        // a delay of this length is a finding
	quietLimit = 500 * time.Millisecond // a comment after this much silence is a keep-alive
	steadyTime = 3 * time.Second        // a stream that sends events for this long needs no more watching
)

// An observation is what one GET request for the stream showed, until enough was
// known, the stream ended, or the time was up.
type observation struct {
	response *http.Response // nil without a response
	start    string         // of the body, if it is not a stream
	failure  error          // why there was no response, or why the stream ended; nil if the examiner left
	timedOut bool           // the examiner left because the time was up

	shook     bool // the TLS handshake began
	connected bool // there was a connection, with TLS if the URL says so

	requested time.Time
	head      time.Duration // from the request to the head of the response
	lasted    time.Duration // total duration
	bytes     int64
	decoded   int64 // bytes, of a compressed stream
	byGo      bool  // a Go program has compressed it
	bursts    []burst
	ids       []string // of the events that have one
	events    int
	comments  int
	keepAlive time.Duration // the longest silence that a comment ended
	silence   time.Duration // the longest silence
	retry     time.Duration // negative if the stream set none

	body     io.Reader
	lastByte time.Time
}

// A burst is a group of events that arrived at once.
type burst struct {
	after  time.Duration // the silence before it
	events int
}

// observe requests the stream, with id as Last-Event-ID unless it is empty.
func (x *examiner) observe(wait time.Duration, id string, enough func(*observation) bool) *observation {
	ctx, cancel := context.WithTimeout(x.ctx, wait)
	defer cancel()
	o := &observation{requested: time.Now(), retry: -1}
	defer func() {
		o.lasted = time.Since(o.requested)
		o.timedOut = ctx.Err() != nil
		if o.timedOut && o.response != nil {
			o.failure = nil
			o.silence = max(o.silence, time.Since(o.lastByte))
		}
	}()
	var shook, connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart: func() { shook.Store(true) },
		GotConn:           func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	defer func() { o.shook, o.connected = shook.Load(), connected.Load() }()
	r, err := x.target.request(traced, x.target.method)
	if err != nil {
		o.failure = err
		return o
	}
	setDefault(r.Header, "Cache-Control", "no-cache")
	setDefault(r.Header, "Accept-Encoding", "gzip") // set here, so that the transport does not decompress
	if id, ok := fetch.LastEventID(id); ok {
		r.Header.Set("Last-Event-ID", id)
	}
	response, err := x.target.http.Do(r)
	if err != nil {
		o.failure = err
		return o
	}
	defer response.Body.Close()
	o.response = response
	o.lastByte = time.Now()
	o.head = o.lastByte.Sub(o.requested)
	x.addHeader(o.response.Header)
	if !isStream(o.response) {
		start, err := io.ReadAll(io.LimitReader(o.response.Body, 200))
		_ = err // what was read before it is enough
		o.start = string(start)
		return o
	}
	o.read(enough)
	return o
}

// read decodes the stream.
func (o *observation) read(enough func(*observation) bool) {
	o.body = o.response.Body
	d := sse.NewDecoder(o)
	if o.response.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(o)
		if err != nil {
			o.failure = err
			return
		}
		const unknown = 255 // which Go writes, and nginx and Apache do not
		o.byGo = z.OS == unknown
		d = sse.NewDecoder(counted{z, &o.decoded})
	}
	d.Retry = -1
	d.OnComment = func(string) {
		o.comments++
		if b := o.bursts[len(o.bursts)-1]; b.after >= quietLimit && len(o.bursts) > 1 {
			o.keepAlive = max(o.keepAlive, b.after)
		}
	}
	for !enough(o) {
		e, err := d.Decode()
		o.retry = d.Retry
		if err != nil {
			o.failure = err
			return
		}
		o.events++
		o.bursts[len(o.bursts)-1].events++
		if e.ID != "" {
			o.ids = append(o.ids, e.ID)
		}
	}
}

// A counted reader counts bytes.
type counted struct {
	io.Reader
	n *int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// Read reads the body for the decoder and records when bytes arrive.
func (o *observation) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	if n == 0 {
		return n, err
	}
	now := time.Now()
	after := now.Sub(o.lastByte)
	if len(o.bursts) == 0 {
		after = now.Sub(o.requested)
	} else {
		o.silence = max(o.silence, after)
	}
	if len(o.bursts) == 0 || after > burstGap {
		o.bursts = append(o.bursts, burst{after: after})
	}
	o.bytes += int64(n)
	o.lastByte = now
	return n, err
}

// isSteady reports whether enough events arrived at separate times, or some with
// a keep-alive between them, so that there is nothing more to wait for.
func isSteady(o *observation) bool {
	separate := 0
	for _, b := range o.bursts {
		if b.events > 0 {
			separate++
		}
	}
	return o.keepAlive > 0 && separate > 0 || separate >= 5 && time.Since(o.requested) > steadyTime
}

// firstByte returns the time from the head to the first byte of the body.
func (o *observation) firstByte() time.Duration { return max(0, o.bursts[0].after-o.head) }

// buffered returns the first burst of several events that followed a long
// silence, as if a buffer had released them, and its index, or -1.
func (o *observation) buffered() (i int, b burst) {
	for i, b := range o.bursts {
		if b.after >= delayLimit && b.events >= 3 {
			return i, b
		}
	}
	return -1, burst{}
}
