package sse

import "example.org/sse/backplane"

// gap holds all members, since they have missed something, and forgets the
// history: it cannot be resumed from before the gap.
func (f *follower) gap() {
	l := f.log
	l.mu.Lock()
	f.live = false // from now on nobody joins
	l.mu.Unlock()
	sources := make(map[*EventSource][]*member)
	for _, s := range f.hub.all() {
		for _, m := range s.list() {
			sources[m.source] = append(sources[m.source], m)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.oldest; e != nil; e = l.oldest {
		l.oldest = e.newer
		if e.set != nil {
			e.set.newest = nil
		}
		e.set, e.newer = nil, nil
	}
	l.newest, l.kept, l.keptBytes = nil, 0, 0
	l.floor, l.floorAt, l.at = l.head, backplane.Cursor{}, backplane.Cursor{}
	clear(l.cursors)
	for source, members := range sources {
		source.mu.Lock()
		held := members[:0]
		for _, m := range members {
			if m.counted && !m.left && m.cursor != nil {
				m.held++
				m.cursor = nil
				held = append(held, m)
			}
		}
		source.mu.Unlock()
		if len(held) > 0 {
			f.gaps = append(f.gaps, held)
		}
	}
}

// resume lets those go on who have missed something, from a snapshot. The caller
// holds log.mu.
func (f *follower) resume() {
	gaps := make(chan []*member, len(f.gaps))
	for _, members := range f.gaps {
		gaps <- members
	}
	close(gaps)
	for range min(len(gaps), snapshotters) {
		f.running.Go(func() {
			for members := range gaps {
				rejoin(members)
			}
		})
	}
	f.gaps = nil
}

// snapshotters is how many clients are sent snapshots at the same time after a
// gap: each may be slow.
const snapshotters = 64
