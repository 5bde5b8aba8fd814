package main

import (
	"fmt"
	"slices"
	"time"
)

// reconnection tells after how long clients come back.
func reconnection(d *diagnosis, l *look) {
	switch {
	case l.retry == 0:
		d.add("retry", broken, "retry: 0", "Chromium then comes back at once, some hundred times a second. Send 1000 or more.")
	case l.retry < 0:
		d.add("retry", fine, "none: browsers come back after 3 to 5 s", "")
	case l.retry < time.Second:
		d.add("retry", minor, "retry: "+fmt.Sprint(l.retry.Milliseconds()), "When the server restarts, all clients come back so soon, and again. Send 1000 or more.")
	default:
		d.add("retry", fine, "clients come back after "+l.retry.String(), "")
	}
}

// resumes comes back as a client that has seen an event, if there is one with an
// id, and tells what follows: what that client has missed, if anything.
func (v *visit) resumes(d *diagnosis, l *look) {
	const lost = "What happens while a client reconnects is lost to it. Answer the header Last-Event-ID with the events after that one; " +
		"or send the state as it is to every client that connects."
	switch {
	case l.events == 0:
		d.add("resume", fine, "unknown: no event came", "")
		return
	case len(l.ids) == 0:
		d.add("resume", minor, "events have no id", "Give each event an id. "+lost)
		return
	}
	first, missed := l.ids[0], ""
	if i := slices.IndexFunc(l.ids, func(id string) bool { return id != first }); i > 0 {
		missed = l.ids[i]
	}
	again := v.look(min(v.wait, steadyFor), first, func(l *look) bool { return len(l.ids) > 0 })
	switch {
	case again.response == nil || !streams200(again.response):
		saw := "no answer"
		if again.response != nil {
			saw = again.response.Status
		}
		d.add("resume", broken, "with Last-Event-ID: "+saw, "Browsers send the header whenever they reconnect. Ignore an id that is unknown, rather than fail.")
	case len(again.ids) == 0 && missed == "":
		d.add("resume", fine, "with Last-Event-ID nothing is sent twice", "")
	case len(again.ids) == 0:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is not heeded: nothing came after %q, though %q followed it", first, missed), lost)
	case missed != "" && again.ids[0] == missed:
		d.add("resume", fine, "with Last-Event-ID the stream goes on after that event", "")
	case again.ids[0] == first:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is not heeded: %q is sent again", first), "Clients get events twice. "+lost)
	case missed == "":
		d.add("resume", fine, "with Last-Event-ID nothing is sent twice", "")
	default:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is not heeded: after %q came %q, and not %q", first, again.ids[0], missed), lost)
	}
}
