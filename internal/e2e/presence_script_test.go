package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.org/sse/presence"
)

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
	// What blockers leave, and a script that is a module.
	housePageBlocked = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script>delete Navigator.prototype.sendBeacon</script><script src="/page.js" data-page="%[1]s"></script>%[2]s</body></html>`
	housePageModule = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script type=module src="/page.js" data-page="%[1]s"></script>%[2]s</body></html>`
	housePageWithout = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script src="/page.js"></script>%[2]s<!-- %[1]s --></body></html>`
)

// A page says goodbye where sendBeacon is missing, and where the script is a module. Without
// its token the script only says what is missing.
func TestPresenceScript(t *testing.T) {
	for _, tt := range []struct{ name, page, console string }{
		{"blocked", housePageBlocked, ""},
		{"module", housePageModule, ""},
		{"without", housePageWithout, "needs the page's token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := openHouse(t)
			h.page = tt.page
			h.tracker.Grace = time.Hour
			b, session := h.visit("/native")
			if tt.console != "" {
				b.expect(tt.console)
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
			b.visit(h.url("/elsewhere"))
			h.awaitPresent(session, false, time.Now(), soon)
		})
	}
}
