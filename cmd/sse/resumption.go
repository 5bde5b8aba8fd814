package main

import (
	"fmt"
	"slices"
	"time"
)

// findRetry checks the stream's reconnection time.
func findRetry(d *diagnosis, o *observation) {
	switch {
	case o.retry == 0:
		d.add("retry", broken, "retry: 0", "Chromium then reconnects at once, hundreds of times a second. Send 1000 or more.")
	case o.retry < 0:
		d.add("retry", fine, "not set: browsers reconnect after 3 to 5 s", "")
	case o.retry < time.Second:
		d.add("retry", minor, "retry: "+fmt.Sprint(o.retry.Milliseconds()), "While the server restarts, all clients try again after this time. Send 1000 or more.")
	default:
		d.add("retry", fine, "clients reconnect after "+o.retry.String(), "")
	}
}

// findResumption requests the stream again, with the id of the first event that
// has one, and checks that the events which follow are those after it.
func (x *examiner) findResumption(d *diagnosis, o *observation) {
	const fix = "Clients lose the events that are sent while they reconnect. Answer a request that has Last-Event-ID with the events after that id, " +
		"or send the current state to every client that connects."
	switch {
	case o.events == 0:
		d.add("resume", fine, "unknown: no event arrived", "")
		return
	case len(o.ids) == 0:
		d.add("resume", minor, "events have no id", "Give each event an id. "+fix)
		return
	}
	first, missed := o.ids[0], ""
	if i := slices.IndexFunc(o.ids, func(id string) bool { return id != first }); i > 0 {
		missed = o.ids[i]
	}
	again := x.observe(min(x.wait, steadyTime), first, func(o *observation) bool { return len(o.ids) > 0 })
	switch {
	case again.response == nil || !isStream(again.response):
		seen := "no answer"
		if again.response != nil {
			seen = again.response.Status
		}
		d.add("resume", broken, "with Last-Event-ID: "+seen, "Browsers send this header whenever they reconnect. Ignore an unknown id instead of failing.")
	case len(again.ids) == 0 && missed == "":
		d.add("resume", fine, "with Last-Event-ID nothing is sent twice", "")
	case len(again.ids) == 0:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is ignored: nothing arrived after %q, although %q followed it", first, missed), fix)
	case missed != "" && again.ids[0] == missed:
		d.add("resume", fine, "with Last-Event-ID the stream continues after that event", "")
	case again.ids[0] == first:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is ignored: %q is sent again", first), "Clients receive events twice. "+fix)
	case missed == "":
		d.add("resume", fine, "with Last-Event-ID nothing is sent twice", "")
	default:
		d.add("resume", minor, fmt.Sprintf("Last-Event-ID is ignored: %q is followed by %q instead of %q", first, again.ids[0], missed), fix)
	}
}
