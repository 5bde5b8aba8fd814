package e2e

import (
	"net/http"
	"net/url"
	"testing"
)

// Each example of a framework or of middleware runs as its reader runs it: a stream gets what
// is posted, another one an answer to its end, and SIGTERM ends the program without an error.
func TestExampleFrameworks(t *testing.T) {
	skipShort(t)
	for _, name := range []string{"chi", "cors", "echo", "fiber", "gin", "gzhttp", "otelhttp", "promhttp", "scs"} {
		t.Run(name, func(t *testing.T) {
			origin := startExample(t, name)
			news, err := openStream(t.Context(), origin+"/news")
			if err != nil {
				t.Fatal(err)
			}
			defer news.Close()
			seen := make(chan bool, 1)
			go func() { seen <- news.sees("data: hello") }()
			eventually(t, soon, func() string { // the head comes before the stream is a member
				r, err := http.PostForm(origin+"/news", url.Values{"text": {"hello"}}) //nolint:noctx // on loopback
				if err != nil {
					return err.Error()
				}
				r.Body.Close()
				select {
				case ok := <-seen:
					if !ok {
						t.Errorf("/news ended without the event: %v", news.lines.Err())
					}
					return ""
				default:
					return "/news has not got the event"
				}
			})
			answer, err := openStream(t.Context(), origin+"/answer?prompt=one+two")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Close()
			for _, want := range []string{"data: one", "data: two", "event: done"} {
				if !answer.sees(want) {
					t.Errorf("/answer ended without %q: %v", want, answer.lines.Err())
				}
			}
		})
	}
}
