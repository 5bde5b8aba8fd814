package sse_test

import (
	"net/http"
	"runtime"
	"testing"

	"example.org/sse"
)

// A function that panics in Serve ends the stream as Close does, though a middleware
// recovers.
func TestServePanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		sources := make(chan *sse.EventSource, 1)
		st := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }()
			sse.Serve(w, r, nil, func(source *sse.EventSource) {
				sources <- source
				source.Dispatch("", "1")
				panic("f")
			})
		})).open()
		if got, want := (<-sources).Wait(), sse.ErrClosed; got != want {
			t.Errorf("ended with %v, want %v", got, want)
		}
		st.want("message|1")
		st.wantEnd()
	})
}

// A response announces the end of its connection if the stream may be detached, and
// only then.
func TestConnectionClose(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		mux := http.NewServeMux()
		mux.HandleFunc("/serve", func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, nil, func(source *sse.EventSource) { go source.Close() })
		})
		mux.HandleFunc("/accept", func(w http.ResponseWriter, r *http.Request) {
			if source, err := sse.Accept(w, r, nil); err == nil {
				source.Close()
			}
		})
		site := tr.serve(t, mux)
		for path, want := range map[string]bool{"serve": tr.detached && runtime.GOOS == "linux", "accept": false} {
			st := site.openURL("http://memory/" + path)
			if got := st.response.Close; got != want {
				t.Errorf("%s: got Close %t, want %t", path, got, want)
			}
			st.wantEnd()
		}
	})
}
