package e2e

import (
	"testing"
	"time"
)

// A page of Firefox says goodbye when its tab is closed, whatever its scripts had time for: all
// of ten do.
func TestPresenceCloseInFirefox(t *testing.T) {
	h := newHouse(t)
	h.open = startFirefox(t).open
	h.tracker.Grace = time.Hour
	for i := range 10 {
		page := []string{"/native", "/htmx2", "/htmx4"}[i%3]
		b, session := h.visit(page)
		begin := time.Now()
		b.close()
		t.Logf("%s: tab closed: gone after %v", page, h.awaitPresent(session, false, begin, time.Second))
	}
}
