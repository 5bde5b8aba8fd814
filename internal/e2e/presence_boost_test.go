package e2e

import (
	"fmt"
	"testing"
	"time"
)

// Pages that replace the body, as hx-boost does: the script's tag and the stream are in the body.
const (
	housePageBoost = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>%[2]s
<script type=module src="/page.js" data-page="%[1]s"></script><a id=next href="?next" hx-boost=true>next</a></body></html>`
	houseBoost2 = `<script src="/scripts/htmx.org/dist/htmx.min.js"></script><script src="/scripts/htmx-ext-sse/dist/sse.min.js"></script>
</head><body hx-ext="sse"><p hx-on::sse-open="document.body.dataset.stream = 'open'" sse-connect="/events?page=%[1]s" sse-swap="message">%[1]s</p>`
	houseBoost4 = `<script src="/scripts/htmx4/dist/htmx.min.js"></script><script src="/scripts/htmx4/dist/ext/hx-sse.min.js"></script>
</head><body><p hx-on::sse:after:connection="document.body.dataset.stream = 'open'" hx-sse:connect="/events?page=%[1]s">%[1]s</p>`
)

// A body that is replaced brings another token: the session of the old one ends, without a
// grace, and there is one of the new one.
func TestPresenceBoost(t *testing.T) {
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		for _, page := range []string{"/boost2", "/boost4"} {
			t.Run(page[1:], func(t *testing.T) { boost(t, open, page) })
		}
	})
}

func boost(t *testing.T, open func(*testing.T, string) *tab, page string) {
	t.Helper()
	h := newHouse(t)
	h.open = open
	h.page = housePageBoost
	h.tracker.Grace = time.Hour
	b, before := h.visit(page)
	b.do("window.planted = true")
	for range 3 {
		b.do("document.getElementById('next').click()")
		h.awaitPresent(before, false, time.Now(), soon)
		eventually(t, soon, func() string {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.session == before || !h.tracker.Present(h.session) || len(h.tracker.Members("house")) != 1 || h.group.Len() != 1 {
				return fmt.Sprintf("session %v, present %v; %d sessions, %d streams, want 1 each", h.session, h.tracker.Present(h.session), len(h.tracker.Members("house")), h.group.Len())
			}
			return ""
		})
		before = h.session
	}
	b.await(0, "window.planted === true") // no page was loaded
	b.visit(h.url("/elsewhere"))
	h.awaitPresent(before, false, time.Now(), soon)
}
