package sse_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

func TestClientLeaves(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		st := site.open()
		source := <-sources
		var group sse.Set
		group.Add(source)
		st.close()
		synctest.Wait()
		if !tr.http2 {
			site.client.CloseIdleConnections()
			synctest.Wait()
		}
		select {
		case <-source.Done():
		default:
			t.Fatal("still open")
		}
		if !errors.Is(source.Err(), sse.ErrGone) || group.Len() != 0 {
			t.Errorf("ended with %v, %d members", source.Err(), group.Len())
		}
		if err := source.Dispatch("", "x"); !errors.Is(err, sse.ErrGone) {
			t.Errorf("Dispatch: %v", err)
		}
	})
}

// The cause that a program gives its request's context is why the stream ends.
func TestContextCause(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		if tr.detached {
			t.Skip("a detached stream has no request any more")
		}
		cause := errors.New("logged out")
		handler, sources := connected(nil)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			time.AfterFunc(time.Second, func() { cancel(cause) })
			handler.ServeHTTP(w, r.WithContext(ctx))
		}))
		st := site.open()
		if err := (<-sources).Wait(); err != cause {
			t.Errorf("ended with %v", err)
		}
		st.wantEnd()
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var group sse.Set
		group.Add(source)
		big := strings.Repeat("x", 6<<20) // more than any buffer on the way
		go source.Dispatch("", big)
		synctest.Wait()
		for i := range 10 {
			group.Dispatch("", strconv.Itoa(i))
		}
		go source.Close()
		synctest.Wait()
		if source.ReadyState() != sse.Closed || group.Len() != 0 || source.Err() != nil {
			t.Errorf("while closing: state %v, %d members, error %v", source.ReadyState(), group.Len(), source.Err())
		}
		if err := source.Dispatch("", "late"); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("Dispatch while closing: %v", err)
		}
		if n, _ := group.Dispatch("", "late"); n != 0 {
			t.Errorf("a closing source is counted")
		}
		st.want("message|" + big)
		for i := range 10 {
			st.want("message|" + strconv.Itoa(i))
		}
		st.wantEnd()
		if source.Close(); !errors.Is(source.Err(), sse.ErrClosed) {
			t.Errorf("ended with %v", source.Err())
		}
	})
}

// A handler that returns with a deferred Close while others dispatch to its
// source, directly and through sets: every stream ends cleanly.
func TestCloseWhileOthersDispatch(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		var one, two sse.Set
		var source sync.Map
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for g := range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					switch g % 3 {
					case 0:
						one.Dispatch("", "one")
					case 1:
						two.Dispatch("", "two\nlines")
					default:
						source.Range(func(s, _ any) bool {
							s.(*sse.EventSource).Dispatch("", "direct")
							return true
						})
					}
					time.Sleep(10 * time.Microsecond) // leaves the processor to the others
				}
			})
		}
		site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := sse.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			source.Store(s, true)
			defer source.Delete(s)
			one.Add(s)
			two.Add(s)
			s.Dispatch("", "first")
			time.Sleep(2 * time.Millisecond) // some work, while the others go on
		}))
		for range 200 {
			st := site.open()
			for {
				if _, err := st.next(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
		stop()
		wg.Wait()
		if one.Len() != 0 || two.Len() != 0 {
			t.Errorf("%d and %d members left", one.Len(), two.Len())
		}
	})
}

// A handler that returns without Close ends the stream all the same.
func TestHandlerForgetsClose(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group sse.Set
		var source *sse.EventSource
		st := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source, _ = sse.Accept(w, r, nil)
			group.Add(source)
			source.Dispatch("", "x")
		})).open()
		st.want("message|x")
		st.wantEnd()
		synctest.Wait()
		if err := source.Dispatch("", "y"); !errors.Is(err, sse.ErrGone) || !errors.Is(source.Err(), sse.ErrGone) {
			t.Errorf("Dispatch: %v, ended with %v", err, source.Err())
		}
		if n, err := group.Dispatch("", "y"); n != 0 || err != nil || group.Len() != 0 {
			t.Errorf("the set still has it: %d, %v", n, err)
		}
	})
}
