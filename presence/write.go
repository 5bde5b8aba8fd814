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

// maxWriters is how many requests may be under way at once. A broker takes many,
// but one after the other they are as slow as the network.
const maxWriters = 8

// A record is what a process says of a session, as JSON in the store. Names are
// escaped, as they may have bytes that JSON cannot have.
type record struct {
	User   string   `json:"user"`
	Page   string   `json:"page"`
	Life   uint64   `json:"life,omitempty"`  // 0: the session is not there
	Since  uint64   `json:"since,omitempty"` // the first life without an end between
	Places []string `json:"places,omitempty"`

	// What the page has said; Word is which one it is of those that the process
	// has heard itself.
	Word   uint64 `json:"word,omitempty"`
	Said   uint64 `json:"said,omitempty"`
	Hidden bool   `json:"hidden,omitempty"`

	// Ended are the lives that the page's goodbye has ended, by process.
	Ended map[string]uint64 `json:"ended,omitempty"`
}

// An entry is the record of this process for one session, as far as is known.
type entry struct {
	id     Session
	key    string
	old    uint64            // revision of what is there; 0: nothing
	rev    uint64            // of the last change
	gone   uint64            // revision of its end, if that was heard while it was written
	counts bool              // what is there says that the session is
	ended  map[string]uint64 // see record

	dirty  bool // it may have to be written
	queued bool // and waits for that
	busy   bool // it is being written
}

// write has the store told what has become of a session here. The caller holds
// t.mu.
func (t *Tracker) write(p *session) {
	if t.Store != nil {
		t.writeEntry(t.entry(p))
	}
}

// writeEnd is write after a goodbye.
func (t *Tracker) writeEnd(p *session, ended map[string]uint64) {
	if t.Store != nil {
		e := t.entry(p)
		for node, life := range e.ended { // of a goodbye before, which it may not have heard
			if t.nodes[node] != nil && ended[node] == 0 {
				ended[node] = life
			}
		}
		e.ended = ended
		t.writeEntry(e)
	}
}

func (t *Tracker) entry(p *session) *entry {
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

func (t *Tracker) writeEntry(e *entry) {
	e.dirty = true
	if !e.queued && !e.busy {
		e.queued = true
		t.dirty = append(t.dirty, e)
		t.writeMore(1)
	}
}

// writeMore sees to it that somebody writes, up to n more than do. Nothing is written
// without a lease: others would take it for what a dead process has left.
func (t *Tracker) writeMore(n int) {
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
			do = t.store(e)
		case len(t.sweeps) > 0:
			r := t.sweeps[0]
			t.sweeps[0] = nil
			t.sweeps = t.sweeps[1:]
			do = t.sweep(r)
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
			t.rest(pause / 4)
		}
	}
}

// store returns what is to be done for an entry. The caller holds t.mu.
func (t *Tracker) store(e *entry) func() error {
	e.queued, e.dirty, e.busy = false, false, true
	says := t.says(e)
	var value []byte
	var ttl time.Duration
	if says != nil {
		var err error
		if value, err = json.Marshal(says); err != nil {
			panic(err) // plain data
		}
		if says.Life == 0 {
			ttl = 2 * t.lease() // who has not heard it by then has lost its lease
		}
	}
	old := e.old
	return func() error {
		ctx, cancel := context.WithTimeout(t.ctx, patience)
		rec, err := t.Store.Swap(ctx, e.key, old, value, ttl)
		cancel()
		t.mu.Lock()
		open := t.stored(e, says, value, rec, err)
		t.mu.Unlock()
		t.finish(open)
		if errors.Is(err, backplane.ErrConflict) {
			return nil
		}
		return err
	}
}

// says returns what the store is to say of a session: nil for nothing.
func (t *Tracker) says(e *entry) *record {
	p := t.sessions[e.id]
	here := p != nil && p.life != 0
	if !here && len(e.ended) == 0 && (p == nil || p.word == 0) {
		return nil
	}
	r := &record{User: url.QueryEscape(e.id.User), Page: url.QueryEscape(e.id.Page), Ended: e.ended}
	if p != nil {
		r.Life, r.Since, r.Word, r.Said, r.Hidden = p.life, p.since, p.word, p.said, p.hidden
		for _, s := range p.stays {
			if s.here {
				r.Places = append(r.Places, url.QueryEscape(s.at.name))
			}
		}
	}
	return r
}

// stored takes over what the store has answered. It returns connections to be
// closed.
func (t *Tracker) stored(e *entry, says *record, value []byte, rec backplane.Record, err error) (open []*connection) {
	e.busy = false
	conflict := errors.Is(err, backplane.ErrConflict)
	switch {
	case err == nil, conflict && bytes.Equal(rec.Value, value) && (rec.Value == nil) == (value == nil):
		// If it is a conflict, then with ourselves: the outcome was not known.
		e.old, e.rev = rec.Rev, rec.Rev
		if value == nil {
			e.old = 0
		}
		e.counts = says != nil && says.Life != 0
		if value != nil && e.gone > e.rev {
			e.dirty = true
			open = t.swept(e)
		}
	case conflict && rec.Value == nil:
		e.dirty = true
		open = t.swept(e)
	case conflict:
		e.old, e.rev = rec.Rev, rec.Rev
		var there record
		e.counts = json.Unmarshal(rec.Value, &there) == nil && there.Life != 0
		e.dirty = true
	default:
		e.dirty = true
	}
	if e.dirty {
		t.writeEntry(e)
	} else if e.old == 0 {
		delete(t.own, e.key)
	}
	return open
}

// swept is that the store does not have the record any more: others have deleted
// it, since they took this process for dead, or its time was over. If the session
// was declared gone by that, it is gone here as well, and back at once.
func (t *Tracker) swept(e *entry) []*connection {
	counted := e.counts
	e.old, e.counts = 0, false
	p := t.sessions[e.id]
	if !counted && !e.dirty { // it was for others to hear, and they have
		e.ended = nil
		if p != nil && p.life == 0 {
			p.word = 0
		}
	}
	if !counted || t.closed || p == nil || p.life == 0 || len(p.others) > 0 {
		return nil
	}
	connections := p.open
	t.away(p)
	t.settle(p, false)
	if len(connections) == 0 {
		return nil
	}
	back := t.session(p.id)
	back.said, back.word, back.hidden, back.shown = p.said, p.word, p.hidden, p.shown
	t.arrive(back)
	for _, c := range connections {
		for i, at := range c.places {
			s := t.enter(back, at.name)
			s.here = true
			c.places[i] = s.at
		}
		back.connect(c)
	}
	back.renewed = p.renewed
	t.write(back)
	return t.review(back)
}

// remove deletes a record, if it is as it was.
func (t *Tracker) remove(key string, rev uint64) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	_, err := t.Store.Swap(ctx, key, rev, nil, 0)
	if errors.Is(err, backplane.ErrConflict) {
		return nil
	}
	return err
}
