package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"example.org/sse"
)

var errNoMore = errors.New("the server answered with 204 No Content: no more events")

// A benchStream is one of a bench's streams.
type benchStream struct {
	*bench
	metrics *metrics

	seq       sequence
	requested time.Time // when the last request was sent
	waiting   bool      // no event has arrived since
	ready     bool      // there was a response, or a failure
}

// follow reads the stream until the context is canceled or the stream fails.
func (s *benchStream) follow(ctx context.Context) {
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return
	}
	err := s.read(ctx)
	for err == nil && s.repeats() && ctx.Err() == nil {
		s.metrics.completed()
		err = s.read(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errInterrupted) {
		s.metrics.fail(inWords(err))
	}
	s.setReady()
}

// setReady counts the stream as one that is open or has failed.
func (s *benchStream) setReady() {
	if s.ready {
		return
	}
	s.ready = true
	<-s.opening
	if s.step(); s.bench.ready.Add(1) == int64(s.Streams) {
		close(s.allReady)
	}
}

// read reads the events of a new client, and returns why there are no more.
func (s *benchStream) read(ctx context.Context) (err error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	client := s.client(giveUp)
	opened := false
	client.OnOpen = func(*http.Response) {
		opened = true
		s.metrics.opened(time.Since(s.requested))
		s.setReady()
	}
	for event, err := range client.Events(ctx) {
		now := time.Now()
		switch {
		case err != nil:
			if _, answered := errors.AsType[*sse.ResponseError](err); !opened && !answered && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", errNotOpened, inWords(err))
			}
			return err
		case s.waiting:
			s.metrics.first(now.Sub(s.requested))
			s.waiting = false
		}
		if s.reading.Load() {
			s.metrics.event(event, &s.seq, now)
		}
	}
	if opened && s.repeats() {
		return nil
	}
	return errNoMore
}

// client returns a client that calls giveUp if it cannot open the first stream.
func (s *benchStream) client(giveUp context.CancelCauseFunc) *sse.Client {
	client := s.target.client()
	if s.repeats() {
		client.Retry = -1
	}
	prepare := client.OnRequest
	client.OnRequest = func(r *http.Request) error {
		s.requested, s.waiting = time.Now(), true
		return prepare(r)
	}
	client.OnError = func(err error, _ time.Duration) {
		if s.ready {
			s.metrics.lost()
		} else {
			giveUp(fmt.Errorf("%w: %w", errNotOpened, inWords(err)))
		}
	}
	return client
}
