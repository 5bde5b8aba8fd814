package presence

import (
	"slices"
	"strings"

	"example.org/sse/backplane"
)

// A Follower keeps records of its own in the tracker's Store, as package locks does, and
// hears of sessions that end. The tracker calls it from its own goroutines, with none of
// its locks held. It must not block.
type Follower interface {
	// Apply is called with the Follower's records in the order of their revisions: at the
	// beginning of a watch with none, then with all that there are, then with each change.
	// A watch that was interrupted begins again, with the next number. When listed is set,
	// all records that there were at the beginning have been passed on. It is not called
	// without a Store.
	Apply(records []backplane.Record, watch int, listed bool)

	// Left is called with each session that has ended as far as this process has heard,
	// see [Tracker.Confirm]. If goodbye is set, the page itself has said so.
	Left(s Session, goodbye bool)
}

// An attachment is a Follower and its place in the store.
type attachment struct {
	Follower
	prefix string
	watch  int // the first that it takes part in
}

// Attach makes the tracker call f, until detach is called. It returns the prefix of the
// keys of f's records; name distinguishes them from those of others. What f is passed and
// what the tracker has heard of sessions have one order, that of the Store.
func (t *Tracker) Attach(name string, f Follower) (prefix string, detach func()) {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &attachment{f, t.prefix + "with/" + name + "/", t.watches + 1}
	t.followers = append(slices.Clip(t.followers), a)
	if t.interrupt != nil {
		t.interrupt() // the next watch lists f's records, too
	}
	return a.prefix, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.followers = slices.DeleteFunc(slices.Clone(t.followers), func(b *attachment) bool { return a == b })
	}
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
