package e2e

import (
	"strconv"
	"strings"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

func (l *listener) take(e sse.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Type == "state" || e.Type == "gap" {
		l.missed(e)
		return
	}
	c, ok := backplane.ParseCursor(e.ID)
	hole := c.Seq != l.pos && len(l.sets) == len(hubSets) && l.pos > 0
	switch {
	case !ok:
		l.fail("%+v has no id of the log's", e)
	case e.Type == "last-event-id":
		if c.Seq < l.pos || hole {
			l.fail("the id is %s", e.ID)
		}
	case e.Type != "message":
		l.fail("%+v", e)
	case c.Seq <= l.pos || hole && c.Seq != l.pos+1:
		l.fail("%+v comes next", e)
	default:
		l.message(c, e)
	}
	l.pos, l.id, l.begun = c.Seq, e.ID, true
}

// missed is called with an event that tells of a gap, or is a snapshot for somebody
// who is new.
func (l *listener) missed(e sse.Event) {
	if l.begun {
		l.told[e.Type]++
		l.exact[map[string]string{"gap": hubSets[0], "state": hubSets[1]}[e.Type]] = false
		if !l.gaps {
			l.fail("%+v", e)
		}
	}
	l.pos = 0
	if c, ok := backplane.ParseCursor(e.ID); ok && e.ID != l.id {
		l.pos, l.id, l.begun = c.Seq, e.ID, true // the last of what a newcomer is sent has the id
	}
}

// message takes an event SET:WRITER-NUMBER.
func (l *listener) message(c backplane.Cursor, e sse.Event) {
	if was, ok := l.data[c]; ok && was != e.Data {
		l.fail("%+v is %s elsewhere", e, was)
	}
	l.data[c] = e.Data
	set, _, _ := strings.Cut(e.Data, ":")
	writer, text, _ := strings.Cut(e.Data, "-")
	number, err := strconv.Atoi(text)
	if next, known := l.next[writer]; err != nil || number < next || number > next && (known && l.exact[set] || !l.gaps && !l.late) {
		l.fail("%+v where %d is next", e, next)
	}
	l.next[writer] = number + 1
	l.events++
	now := time.Now()
	if !l.last.IsZero() {
		l.stall = max(l.stall, now.Sub(l.last))
	}
	l.last = now
	if l.events == l.goal {
		if l.behind--; l.behind == 0 {
			close(l.reached)
		}
	}
}
