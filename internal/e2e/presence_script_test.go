package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"example.org/sse/presence"
)

// A tab that was duplicated, with its token, becomes a session of its own. The first one
// stays as it is.
func TestPresenceDuplicate(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		first, session := h.visit(page)
		first.do(`new MutationObserver(() => window.lost ||= document.body.dataset.stream !== 'open')
			.observe(document.body, {attributes: true})`)
		h.mu.Lock()
		h.repeat = true
		h.mu.Unlock()
		second := open(t, h.url(page), chromedp.WithNewWindow(false))
		eventually(t, soon, func() string {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.session == session || !h.tracker.Present(h.session) || !h.tracker.Present(session) {
				return fmt.Sprintf("sessions %v and %v, present %v, %v", session, h.session, h.tracker.Present(session), h.tracker.Present(h.session))
			}
			return ""
		})
		second.await(soon, "document.body.dataset.stream === 'open'")
		second.visit(h.url("/elsewhere"))
		first.await(soon, "!window.lost && document.body.dataset.stream === 'open'")
		if !h.tracker.Present(session) {
			t.Error("the first page is gone with the second one")
		}
	})
}

// A server that has another key after a restart refuses the tokens of its pages, which are
// reloaded, once.
func TestPresenceRefused(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		b, session := h.visit(page)
		b.expect("ERR_CONNECTION_REFUSED", "[object Event]", "htmx:sse:error", "403 (Forbidden)")
		b.do("window.planted = true")
		h.stop()
		h.tracker = &presence.Tracker{Grace: time.Second}
		h.start()
		b.await(15*time.Second, "window.planted === undefined && document.body?.dataset.stream === 'open'")
		h.mu.Lock()
		now := h.session
		h.mu.Unlock()
		if now == session || !h.tracker.Present(now) {
			t.Errorf("got session %v, present %v; want another than %v, present", now, h.tracker.Present(now), session)
		}
	})
}

const (
	// What blockers leave.
	housePageBlocked = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script>delete Navigator.prototype.sendBeacon</script><script type=module src="/page.js" data-page="%[1]s"></script>%[2]s</body></html>`
	housePageWithout = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script type=module src="/page.js"></script>%[2]s<!-- %[1]s --></body></html>`
)

// A page says goodbye where sendBeacon is missing. Without its token the script says what is
// missing.
func TestPresenceScript(t *testing.T) {
	for _, tt := range []struct{ name, page, console string }{
		{"blocked", housePageBlocked, ""},
		{"without", housePageWithout, "needs the page's token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := openHouse(t)
			h.page = tt.page
			h.tracker.Grace = time.Hour
			if tt.console != "" {
				b := open(t, h.url("/native"))
				b.expect(tt.console, "403 (Forbidden)")
				eventually(t, soon, func() string {
					b.mu.Lock()
					defer b.mu.Unlock()
					if got := fmt.Sprint(b.messages); !strings.Contains(got, tt.console) {
						return fmt.Sprintf("the console has %q, want %q", got, tt.console)
					}
					return ""
				})
				return
			}
			b, session := h.visit("/native")
			b.visit(h.url("/elsewhere"))
			h.awaitPresent(session, false, time.Now(), soon)
		})
	}
}

// Another tab in front: htmx 4 has no stream then, but its session stays, and it is
// there when the page is seen again.
func TestPresenceHidden(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		b, session := h.visit(page)
		h.group.Dispatch("", "1")
		b.await(soon, "document.getElementById('out').textContent === '1'")
		other := open(t, h.url("/elsewhere"), chromedp.WithNewWindow(false))
		other.front()
		b.await(soon, "document.visibilityState === 'hidden'")
		if page == "/htmx4" {
			eventually(t, soon, h.streams)
		}
		h.group.Dispatch("", "2")
		time.Sleep(2 * time.Second) // more than the grace
		if !h.tracker.Present(session) {
			t.Error("gone while hidden")
		}
		b.front()
		b.await(soon, "document.getElementById('out').textContent === '12'")
		time.Sleep(2 * time.Second) // more than the grace
		if !h.tracker.Present(session) {
			t.Error("gone after it was seen again")
		}
	})
}
