package e2e

import (
	"strings"
	"testing"
	"time"
)

// A page of Firefox says goodbye when its tab is closed, whatever its scripts had time for: all
// of ten do. So does one of WebKit.
func TestPresenceCloseInOthers(t *testing.T) {
	overOthers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		h := newHouse(t)
		h.open = open
		h.tracker.Grace = time.Hour
		for i := range 10 {
			page := []string{"/native", "/htmx2", "/htmx4"}[i%3]
			b, session := h.visit(page)
			begin := time.Now()
			b.close()
			t.Logf("%s: tab closed: gone after %v", page, h.awaitPresent(session, false, begin, time.Second))
		}
		h.page = housePageBlocked
		b, session := h.visit("/native")
		begin := time.Now()
		b.close()
		t.Logf("without sendBeacon: gone after %v", h.awaitPresent(session, false, begin, time.Second))
	})
}

// A page is present again on the way back, and after a restart.
func TestPresenceWayBackInOthers(t *testing.T) {
	overOthers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		if strings.HasSuffix(t.Name(), "/WebKit") {
			t.Skip("WebKit's driver does not always answer while a page that was kept is shown again")
		}
		h := newHouse(t)
		h.open = open
		h.tracker.Grace = time.Hour
		for _, page := range []string{"/native", "/htmx2", "/htmx4"} {
			b, session := h.visit(page)
			b.visit(h.url("/elsewhere"))
			h.awaitPresent(session, false, time.Now(), time.Second)
			b.do("setTimeout(() => history.back())")
			b.await(soon, "document.title === 'House' && document.body?.dataset.stream === 'open'")
			h.mu.Lock()
			back := h.session // another one, if the browser has loaded the page again
			h.mu.Unlock()
			h.awaitPresent(back, true, time.Now(), soon)
			h.stop()
			b.await(soon, "document.body.dataset.stream === 'lost'")
			h.start()
			b.await(15*time.Second, "document.body.dataset.stream === 'open'")
			h.awaitPresent(back, true, time.Now(), soon)
			if n := len(h.tracker.Members("house")); n != 1 {
				t.Errorf("%s: got %d sessions, want 1", page, n)
			}
			b.close()
			h.awaitPresent(back, false, time.Now(), time.Second)
		}
	})
}
