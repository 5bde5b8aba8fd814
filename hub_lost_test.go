package sse_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A losable log stops being followed when it is lost.
type losable struct {
	backplane.Memory
	lost   atomic.Pointer[error]
	cancel atomic.Pointer[context.CancelFunc]
}

func (l *losable) Follow(ctx context.Context, after backplane.Cursor, fn func([]backplane.Entry, bool) error) error {
	if err := l.lost.Load(); err != nil {
		return *err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.cancel.Store(&cancel)
	err := l.Memory.Follow(ctx, after, fn)
	if lost := l.lost.Load(); lost != nil {
		return *lost
	}
	return err
}

func (l *losable) lose(err error) {
	l.lost.Store(&err)
	(*l.cancel.Load())()
}

// A hub whose log is lost for long is not ready, so that a proxy sends clients elsewhere:
// at once if the log was closed, otherwise after a while. It is ready when the log is back.
func TestNotReadyWhenLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		wait time.Duration
	}{
		{"closed", backplane.ErrClosed, 0},
		{"fails", errors.New("no permission"), 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log losable
				hub := sse.Hub{Log: &log}
				defer hub.Close()
				ready := func() bool {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					defer cancel()
					return hub.WaitReady(ctx) == nil
				}
				if err := hub.WaitReady(t.Context()); err != nil {
					t.Fatal(err)
				}
				log.lose(tt.err)
				synctest.Wait()
				if tt.wait > 0 {
					time.Sleep(tt.wait - time.Second) // fake
					if !ready() {
						t.Errorf("not ready %v after the log was lost", tt.wait-time.Second)
					}
					time.Sleep(2 * time.Second) // fake
				}
				if ready() {
					t.Error("ready without a log")
				}
				log.lost.Store(nil)
				if err := hub.WaitReady(t.Context()); err != nil {
					t.Errorf("after the log was back: %v", err)
				}
			})
		})
	}
}
