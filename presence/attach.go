package presence

import (
	"slices"
	"strings"

	"example.org/sse/backplane"
	"example.org/sse/internal/sessions"
)

// Access is for package locks. Programs cannot call it.
func (t *Tracker) Access(a *sessions.Access[Session]) {
	a.Leased, a.Confirm, a.Attach = t.hasLease, t.confirm, t.attach
}

// An attachment is a Follower and its place in the store.
type attachment struct {
	sessions.Follower[Session]
	prefix string
	watch  int // the first that it takes part in
}

// attach makes the tracker call a Follower, see [sessions.Access].
func (t *Tracker) attach(name string, f sessions.Follower[Session]) (prefix string, detach func(), ok bool) {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &attachment{f, keyPrefix + "with/" + name + "/", t.watches + 1}
	if slices.ContainsFunc(t.followers, func(b *attachment) bool { return b.prefix == a.prefix }) {
		return "", func() {}, false
	}
	t.followers = append(slices.Clip(t.followers), a)
	if t.interrupt != nil {
		t.interrupt() // the next watch lists f's records, too
	}
	return a.prefix, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.followers = slices.DeleteFunc(slices.Clone(t.followers), func(b *attachment) bool { return a == b })
	}, true
}

// passOn passes records on to the followers.
func (t *Tracker) passOn(batch []backplane.Record, watch int, listed bool) {
	t.mu.Lock()
	followers := t.followers
	t.mu.Unlock()
	for _, f := range followers {
		if watch < f.watch {
			continue
		}
		var records []backplane.Record
		for _, rec := range batch {
			if strings.HasPrefix(rec.Key, f.prefix) {
				records = append(records, rec)
			}
		}
		if len(records) > 0 || listed || len(batch) == 0 {
			f.Apply(records, watch, listed)
		}
	}
}
