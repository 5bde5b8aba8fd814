// Package records keeps what a watcher of a store has passed on, and so what is news to it.
package records

import (
	"cmp"
	"slices"

	"example.org/sse/backplane"
)

// Known are the records that a watcher has passed on. The zero value has none.
type Known struct {
	revs   map[string]uint64 // of those that exist
	newest uint64            // the greatest revision passed on
}

// Update takes changes, and returns those to pass on. It uses the memory of the changes.
func (k *Known) Update(changes []backplane.Record) []backplane.Record {
	batch := changes[:0]
	for _, r := range changes {
		rev, ok := k.revs[r.Key]
		if r.Value == nil && !ok || r.Rev <= rev {
			continue
		}
		k.noteOne(r)
		batch = append(batch, r)
	}
	return batch
}

// Replace takes the whole state, in which deleted records may be too, and returns what to pass
// on. A record that is missing, or was passed on in a later state than it is in, is first
// passed on as deleted. When it was deleted is unknown: these deletions come before all
// changes, with a revision after all that was passed on.
func (k *Known) Replace(present map[string]backplane.Record) []backplane.Record {
	var gone, changed []backplane.Record
	for key, rev := range k.revs {
		if r, ok := present[key]; !ok || r.Value != nil && r.Rev < rev {
			gone = append(gone, backplane.Record{Key: key, Rev: k.newest + 1})
		}
	}
	for key, r := range present {
		if rev, ok := k.revs[key]; r.Rev != rev && (r.Value != nil || ok) {
			changed = append(changed, r)
		}
	}
	slices.SortFunc(changed, func(a, b backplane.Record) int { return cmp.Compare(a.Rev, b.Rev) })
	batch := append(gone, changed...)
	for _, r := range batch {
		k.noteOne(r)
	}
	return batch
}

func (k *Known) noteOne(r backplane.Record) {
	k.newest = max(k.newest, r.Rev)
	if r.Value == nil {
		delete(k.revs, r.Key)
		return
	}
	if k.revs == nil {
		k.revs = make(map[string]uint64)
	}
	k.revs[r.Key] = r.Rev
}
