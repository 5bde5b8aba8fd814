package main

import (
	"errors"
	"testing"

	"example.org/sse/ssetest"
)

// A page that comes early, and one that comes when the job is over, see the same.
func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "done"},
		{errors.New("no such file"), "failed: no such file"},
	} {
		goOn := make(chan bool)
		server := ssetest.NewServer(routes(func(report func(progress)) error {
			report(progress{50, "half"})
			<-goOn
			report(progress{100, "all"})
			return tt.err
		}))
		response, err := server.Client().Post(server.URL, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		path := response.Request.URL.Path
		early := server.Open(t, path+"/events")
		early.Next()
		goOn <- true
		early.Next()
		if got := early.Next(); got.Type != "end" || got.Data != tt.want {
			t.Errorf("got %+v, want the end %q", got, tt.want)
		}
		late := server.Open(t, path+"/events")
		for _, want := range []string{`{"percent":50,"line":"half"}`, `{"percent":100,"line":"all"}`, tt.want} {
			if got := late.Next(); got.Data != want {
				t.Errorf("got %q, want %q", got.Data, want)
			}
		}
		server.Close()
	}
}
