package main

import (
	"cmp"
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
	meter     *meter
	byGo      bool // a Go program has compressed it
	bursts    []burst
	ids       []string // of the events that have one
	events    int
	comments  int
	keepAlive time.Duration // the longest silence that a comment ended
	silence   time.Duration // the longest silence
	retry     time.Duration // negative if the stream set none

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
	if id, ok := fetch.LastEventID(id); ok {
		r.Header.Set("Last-Event-ID", id)
	}
	r.Header.Del("Accept-Encoding") // which the meter sets
	o.meter = &meter{next: watcher{o, x.target.http.Transport}, accept: cmp.Or(x.target.accept, offered)}
	response, err := (&http.Client{Transport: o.meter}).Do(r)
	if err != nil {
		o.failure = err
		return o
	}
	defer response.Body.Close()
	o.response = response
	o.lastByte = time.Now()
	o.head = o.lastByte.Sub(o.requested)
	x.addHeader(o.response.Header)
	if !isStream(o.response) || isEncoded(o.response) {
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
	d := sse.NewDecoder(o.response.Body)
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

// A watcher is a transport that records when the bytes of bodies arrive.
type watcher struct {
	*observation
	next http.RoundTripper
}

func (w watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(r)
	if err == nil {
		response.Body = watched{response.Body, w.observation}
	}
	return response, err
}

type watched struct {
	io.ReadCloser
	o *observation
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 && w.o.response != nil { // else it is a redirect's
		w.o.arrived(p[:n])
	}
	return n, err
}

// arrived records bytes that have arrived.
func (o *observation) arrived(p []byte) {
	const osByte, unknown = 9, 255 // of gzip's header; Go writes it, and nginx and Apache do not
	if len(o.bursts) == 0 {
		o.byGo = len(p) > osByte && p[osByte] == unknown
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
	o.lastByte = now
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
