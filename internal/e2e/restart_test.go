package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The server goes, in order and then without, and comes back. The pages stay,
// and show what there is: nothing is lost, nothing is there twice.
func TestRestart(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	tabs := openAll(t, d)
	same(t, d, tabs...)
	for _, b := range tabs {
		b.do("window.planted = 'still here'")
		b.expect("ERR_CONNECTION_REFUSED", "[object Event]") // the last is htmx 2's
	}
	for round := range 2 {
		d.post("/cards/add", "text", fmt.Sprintf("before restart %d", round))
		if round == 0 {
			d.stop()
		} else {
			for _, b := range tabs { // now the streams break off
				b.expect("ERR_INCOMPLETE_CHUNKED_ENCODING", "htmx:sse:error: network error")
			}
			d.kill()
		}
		for _, b := range tabs {
			b.await(soon, "document.body.dataset.stream === 'lost'")
		}
		d.start()
		// Before any page is back, and while they come back one by one.
		for i := range 5 {
			d.post("/cards/add", "text", fmt.Sprintf("after restart %d, %d", round, i))
		}
		d.post("/cards/delete", "id", d.find(fmt.Sprintf("before restart %d", round)).ID)
		for _, b := range tabs {
			b.await(15*time.Second, "document.body.dataset.stream === 'open'")
			if round > 0 { // the first time it must do without a push
				d.post("/cards/add", "text", fmt.Sprintf("round %d, %s is back", round, b.name))
			}
		}
		same(t, d, tabs...)
	}
	for _, b := range tabs {
		b.await(0, "window.planted === 'still here'")
		b.await(0, "document.querySelector('#notice').innerText === ''")
	}
}

// Who leaves the page has left, although the browser keeps it for the way back;
// and is here again on the way back.
func TestLeaving(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><link rel=icon href=data:,><title>Elsewhere</title>"))
	}))
	defer elsewhere.Close()
	watcher := open(t, d.url("/eventsource"))
	here := func(limit time.Duration, n int) {
		t.Helper()
		watcher.await(limit, fmt.Sprintf("document.querySelectorAll('#people li').length === %d", n))
	}
	here(soon, 1)
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		b := open(t, d.url(page), chromedp.WithNewBrowserContext())
		here(soon, 2)
		b.do("window.planted = true")
		b.expect("[object Event]") // htmx 2 logs that its stream was closed
		b.visit(elsewhere.URL)
		here(2*time.Second, 1)
		b.do("setTimeout(() => history.back())") // the answer must be on its way before
		here(soon, 2)
		b.await(soon, "document.body.dataset.stream === 'open'")
		t.Logf("%s: kept by the browser meanwhile: %v", page, eval[bool](b, "window.planted === true"))
		d.post("/cards/add", "text", "seen after the way back to "+page)
		same(t, d, b)
		if err := chromedp.Cancel(b.ctx); err != nil {
			t.Fatal(err)
		}
		here(2*time.Second, 1)
	}
}
