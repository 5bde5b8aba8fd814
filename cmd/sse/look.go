package main

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"time"

	"example.org/sse"
)

const (
	together  = 20 * time.Millisecond  // bytes that follow so soon came at once
	patience  = 2 * time.Second        // what takes longer was held back, or not sent
	silent    = 500 * time.Millisecond // a comment after so long is a keep-alive
	steadyFor = 3 * time.Second        // a stream that sends for so long is known well enough
)

// A look is what was seen of one request for the stream, from the head to when
// enough was known, the stream ended, or the time was over.
type look struct {
	response *http.Response // nil if no answer came
	start    string         // of the body, if it is no stream
	failure  error          // why there was no answer, or the stream's end; nil if it was left
	timedOut bool           // it was left since the time was over

	asked     time.Time
	head      time.Duration // from the request to the head of the response
	lasted    time.Duration // all of it
	bytes     int64
	bursts    []burst
	ids       []string // of the events that have one
	events    int
	comments  int
	keepAlive time.Duration // the longest silence that a comment ended
	silence   time.Duration // the longest
	retry     time.Duration // negative if none was told

	body     io.Reader
	lastByte time.Time
}

// A burst is what came at once.
type burst struct {
	after  time.Duration // of silence
	events int
}

// look asks for the stream, for what follows the event id if that is not empty.
func (v *visit) look(wait time.Duration, id string, enough func(*look) bool) *look {
	ctx, cancel := context.WithTimeout(v.ctx, wait)
	defer cancel()
	l := &look{asked: time.Now(), retry: -1}
	defer func() {
		l.lasted = time.Since(l.asked)
		l.timedOut = ctx.Err() != nil
		if l.timedOut && l.response != nil {
			l.failure = nil
			l.silence = max(l.silence, time.Since(l.lastByte))
		}
	}()
	r, err := v.request(ctx, http.MethodGet)
	if err != nil {
		l.failure = err
		return l
	}
	r.Header.Set("Cache-Control", "no-cache")
	r.Header.Set("Accept-Encoding", "gzip") // said here, it is undone here
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	client := &http.Client{Transport: v.transport}
	response, err := client.Do(r)
	if err != nil {
		l.failure = err
		return l
	}
	defer response.Body.Close()
	l.response = response
	l.lastByte = time.Now()
	l.head = l.lastByte.Sub(l.asked)
	v.met(l.response.Header)
	if !streams200(l.response) {
		start, err := io.ReadAll(io.LimitReader(l.response.Body, 200))
		_ = err // what came before it will do
		l.start = string(start)
		return l
	}
	l.read(enough)
	return l
}

// read decodes the stream.
func (l *look) read(enough func(*look) bool) {
	l.body = l.response.Body
	var decoded io.Reader = l
	if l.response.Header.Get("Content-Encoding") == "gzip" {
		if decoded, l.failure = gzip.NewReader(l); l.failure != nil {
			return
		}
	}
	d := sse.NewDecoder(decoded)
	d.Retry = -1
	d.OnComment = func(string) {
		l.comments++
		if b := l.bursts[len(l.bursts)-1]; b.after >= silent && len(l.bursts) > 1 {
			l.keepAlive = max(l.keepAlive, b.after)
		}
	}
	for !enough(l) {
		e, err := d.Decode()
		l.retry = d.Retry
		if err != nil {
			l.failure = err
			return
		}
		l.events++
		l.bursts[len(l.bursts)-1].events++
		if e.ID != "" {
			l.ids = append(l.ids, e.ID)
		}
	}
}

// Read reads for the decoder, and notes when what came.
func (l *look) Read(p []byte) (int, error) {
	n, err := l.body.Read(p)
	if n == 0 {
		return n, err
	}
	now := time.Now()
	after := now.Sub(l.lastByte)
	if len(l.bursts) == 0 {
		after = now.Sub(l.asked)
	} else {
		l.silence = max(l.silence, after)
	}
	if len(l.bursts) == 0 || after > together {
		l.bursts = append(l.bursts, burst{after: after})
	}
	l.bytes += int64(n)
	l.lastByte = now
	return n, err
}

// steady reports whether events have come apart from one another for a while,
// or a keep-alive between them: there is nothing more to wait for.
func steady(l *look) bool {
	apart := 0
	for _, b := range l.bursts {
		if b.events > 0 {
			apart++
		}
	}
	return l.keepAlive > 0 && apart > 0 || apart >= 5 && time.Since(l.asked) > steadyFor
}

// firstByte returns how long after the head the first byte came.
func (l *look) firstByte() time.Duration { return max(0, l.bursts[0].after-l.head) }

// held returns the first burst of events that came together after a silence in
// which they should have come, as from a buffer.
func (l *look) held() (i int, b burst) {
	for i, b := range l.bursts {
		if b.after >= patience && b.events >= 3 {
			return i, b
		}
	}
	return -1, burst{}
}
