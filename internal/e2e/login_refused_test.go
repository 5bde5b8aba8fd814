package e2e

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// A browser that is refused is connected within ten seconds of a slot becoming free,
// without a reload, however often it was refused.
func TestRefusedBrowser(t *testing.T) {
	const script = "<script>new EventSource('/events')</script>"
	for _, test := range []struct {
		name, page string
		event      sse.Event
		most       time.Duration
	}{
		{"Chromium", script, sse.Event{}, 10 * time.Second},
		{"Firefox", script, sse.Event{}, 10 * time.Second},
		{"htmx 4", htmx4Page, sse.Event{Type: "full"}, 11 * time.Second}, // by an event, give or take 30 %
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			needChromium(t)
			needPackages(t)
			limit := &sse.Limit{Max: 1, Event: test.event}
			var group sse.Set
			group.AcceptOptions = &sse.AcceptOptions{Limits: []*sse.Limit{limit}}
			var loads atomic.Int32
			page := pagesOf(test.page, &group)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					loads.Add(1)
				}
				page.ServeHTTP(w, r)
			}))
			defer server.Close()
			defer group.CloseAll()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			first, err := sse.Accept(httptest.NewRecorder(), r, group.AcceptOptions)
			if err != nil {
				t.Fatal(err)
			}
			opened := time.Now()
			if test.name == "Firefox" {
				needFirefox(t).open(t, server.URL)
			} else {
				open(t, server.URL)
			}
			eventually(t, patience, func() string { // then it is to wait for up to 8 s
				return map[bool]string{false: "refused four times"}[limit.Refused() >= 4]
			})
			if waited := time.Since(opened); waited < 2*time.Second { // 0.5 + 1 + 2 s at least, less 30 %
				t.Errorf("it was refused four times in %v: it does not heed the time", waited)
			}
			first.Close()
			begin := time.Now()
			awaitMember(t, &group)
			took := time.Since(begin)
			t.Logf("connected %v after there was room", took.Round(100*time.Millisecond))
			if took > test.most && *full || loads.Load() != 1 {
				t.Errorf("connected after %v, and the page was loaded %d times; want %v at most, and 1", took, loads.Load(), test.most)
			}
		})
	}
}
