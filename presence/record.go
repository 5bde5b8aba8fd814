package presence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"example.org/sse/backplane"
)

// maxWriters is the number of requests that may be in progress at once. One after the
// other they would be as slow as the network's round trips.
const maxWriters = 8

// A record is what a process writes about a session, as JSON in the store. Names are
// escaped, since they may contain bytes that JSON cannot represent.
type record struct {
	User   string   `json:"user"`
	Page   string   `json:"page"`
	Life   uint64   `json:"life,omitempty"`  // 0: the session is not there
	Since  uint64   `json:"since,omitempty"` // the first life that this one continues without an end
	Places []string `json:"places,omitempty"`
	Data   *data    `json:"data,omitempty"`

	// The page's newest message: Message is its number by the page's count, and Heard
	// its number by the process's counter.
	Heard   uint64 `json:"word,omitempty"`
	Message uint64 `json:"said,omitempty"`
	Hidden  bool   `json:"hidden,omitempty"`

	// Ended are the lives that the page's goodbye has ended, by process.
	Ended map[string]uint64 `json:"ended,omitempty"`
}

// An entry is this process's record of one session, as far as the process knows it.
type entry struct {
	id     Session
	key    string
	old    uint64            // revision of the record in the store; 0: none
	rev    uint64            // of the last change
	gone   uint64            // revision of its deletion, if that was seen during a write
	counts bool              // the record in the store has a life
	ended  map[string]uint64 // see record

	dirty  bool // may have to be written
	queued bool // waits for a writer
	busy   bool // is being written
}

// writeLocked schedules a write of the session's record.
func (t *Tracker) writeLocked(p *session) {
	if t.Store != nil {
		t.writeEntryLocked(t.entryLocked(p))
	}
}

// writeGoodbyeLocked is like writeLocked, after a goodbye that has ended lives.
func (t *Tracker) writeGoodbyeLocked(p *session, ended map[string]uint64) {
	if t.Store != nil {
		e := t.entryLocked(p)
		for node, life := range e.ended { // of an earlier goodbye, which that process may not have seen
			if t.nodes[node] != nil && ended[node] == 0 {
				ended[node] = life
			}
		}
		e.ended = ended
		t.writeEntryLocked(e)
	}
}

func (t *Tracker) entryLocked(p *session) *entry {
	if p.key == "" {
		p.key = t.keyOf(p.id)
	}
	e := t.own[p.key]
	if e == nil {
		e = &entry{id: p.id, key: p.key}
		t.own[p.key] = e
	}
	return e
}

func (t *Tracker) writeEntryLocked(e *entry) {
	e.dirty = true
	if !e.queued && !e.busy {
		e.queued = true
		t.dirty = append(t.dirty, e)
		t.startWritersLocked(1)
	}
}

// startWritersLocked starts up to n more writers. Nothing is written without a lease:
// other processes would regard it as left by a dead process.
func (t *Tracker) startWritersLocked(n int) {
	for ; n > 0 && t.leased && t.ctx.Err() == nil && t.writers < maxWriters; n-- {
		t.writers++
		t.running.Go(t.writer)
	}
}

// writer writes until there is nothing to write.
func (t *Tracker) writer() {
	for {
		t.mu.Lock()
		var do func() error
		switch {
		case !t.leased || t.ctx.Err() != nil:
		case len(t.dirty) > 0:
			e := t.dirty[0]
			t.dirty[0] = nil
			t.dirty = t.dirty[1:]
			do = t.storeLocked(e)
		case len(t.sweeps) > 0:
			r := t.sweeps[0]
			t.sweeps[0] = nil
			t.sweeps = t.sweeps[1:]
			do = t.sweepLocked(r)
		}
		if do == nil {
			if t.writers--; t.writers == 0 && t.idle != nil {
				close(t.idle)
				t.idle = nil
			}
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if do() != nil {
			t.sleep(retryDelay / 4)
		}
	}
}

// storeLocked returns a function that writes an entry.
func (t *Tracker) storeLocked(e *entry) func() error {
	e.queued, e.dirty, e.busy = false, false, true
	content := t.recordLocked(e)
	var value []byte
	var ttl time.Duration
	if content != nil {
		var err error
		if value, err = json.Marshal(content); err != nil {
			panic(err) // plain data
		}
		if content.Life == 0 {
			ttl = 2 * t.lease() // a process that has not seen it by then has lost its lease
		}
	}
	old := e.old
	return func() error {
		ctx, cancel := context.WithTimeout(t.ctx, storeTimeout)
		rec, err := t.Store.Swap(ctx, e.key, old, value, ttl)
		cancel()
		t.mu.Lock()
		open := t.storedLocked(e, content, value, rec, err)
		t.mu.Unlock()
		t.notifyAndClose(open)
		if errors.Is(err, backplane.ErrConflict) {
			return nil
		}
		return err
	}
}

// recordLocked returns the record to write for an entry, or nil for none.
func (t *Tracker) recordLocked(e *entry) *record {
	p := t.sessions[e.id]
	here := p != nil && p.life != 0
	if !here && len(e.ended) == 0 && (p == nil || p.heard == 0 && !p.dataHere) {
		return nil
	}
	r := &record{User: url.QueryEscape(e.id.User), Page: url.QueryEscape(e.id.Page), Ended: e.ended}
	if p != nil {
		r.Life, r.Since, r.Heard, r.Message, r.Hidden = p.life, p.since, p.heard, p.message, p.hidden
		r.Data = p.data
		for _, s := range p.stays {
			if s.here {
				r.Places = append(r.Places, url.QueryEscape(s.at.name))
			}
		}
	}
	return r
}

// storedLocked updates an entry from the store's answer to a write. It returns
// connections to be closed.
func (t *Tracker) storedLocked(e *entry, content *record, value []byte, rec backplane.Record, err error) (open []*connection) {
	e.busy = false
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	defer t.answerLocked()
	conflict := errors.Is(err, backplane.ErrConflict)
	switch {
	case err == nil, conflict && bytes.Equal(rec.Value, value) && (rec.Value == nil) == (value == nil):
		// A conflict is with an earlier write of ours that got no answer.
		e.old, e.rev = rec.Rev, rec.Rev
		if value == nil {
			e.old = 0
		}
		e.counts = content != nil && content.Life != 0
		if value != nil && e.gone > e.rev {
			e.dirty = true
			open = t.deletedLocked(e)
		}
	case conflict && rec.Value == nil:
		e.dirty = true
		open = t.deletedLocked(e)
	case conflict:
		e.old, e.rev = rec.Rev, rec.Rev
		var there record
		e.counts = json.Unmarshal(rec.Value, &there) == nil && there.Life != 0
		e.dirty = true
	default:
		e.dirty = true
	}
	if e.dirty {
		t.writeEntryLocked(e)
	} else if e.old == 0 {
		delete(t.own, e.key)
	}
	return open
}

// deletedLocked handles a record of this process that is gone from the store: others
// deleted it, because they regarded this process as dead, or it expired. If the session
// ended elsewhere because of that, it ends here as well, and joins again at once.
func (t *Tracker) deletedLocked(e *entry) []*connection {
	counted := e.counts
	e.old, e.counts = 0, false
	p := t.sessions[e.id]
	if !counted && !e.dirty { // a goodbye, which other processes have seen by now
		e.ended = nil
		if p != nil && p.life == 0 {
			p.heard, p.dataHere = 0, false
		}
	}
	if !counted || t.closed || p == nil || p.life == 0 || len(p.others) > 0 {
		return nil
	}
	connections := p.open
	t.departLocked(p)
	t.pruneLocked(p, false)
	if len(connections) == 0 {
		return nil
	}
	back := t.sessionLocked(p.id)
	back.message, back.heard, back.hidden, back.shown = p.message, p.heard, p.hidden, p.shown
	back.data, back.dataHere = p.data, p.dataHere
	t.arriveLocked(back)
	for _, c := range connections {
		for i, at := range c.places {
			s := t.enterLocked(back, at.name)
			s.here = true
			c.places[i] = s.at
		}
		back.connect(c)
	}
	back.renewed = p.renewed
	t.writeLocked(back)
	return t.expireLocked(back)
}

// remove deletes a record, unless it has changed.
func (t *Tracker) remove(key string, rev uint64) error {
	ctx, cancel := context.WithTimeout(t.ctx, storeTimeout)
	defer cancel()
	_, err := t.Store.Swap(ctx, key, rev, nil, 0)
	if errors.Is(err, backplane.ErrConflict) {
		return nil
	}
	return err
}
