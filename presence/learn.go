package presence

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.org/sse/backplane"
)

// sweepPause is how long a process without a lease is waited for before the first
// of the others deletes its records; each of these waits as much longer. The store
// may have been away for longer than all leases, and then all come back at once.
const sweepPause = time.Second

// A node is another process.
type node struct {
	id      string
	leased  bool
	watch   int // that has told of its lease
	records map[*remote]struct{}
	timer   *time.Timer // to delete them; nil if it lives
}

func (n *node) stop() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// A remote is the record of another process for a session.
type remote struct {
	node   *node
	key    string
	rev    uint64
	watch  int // that has told of it
	life   uint64
	over   uint64   // lives up to this one were ended by a goodbye
	word   uint64   // that was heard last
	places []*place // in which the session is by it
	of     *session // that it counts for; nil if for none
	queued bool     // to be deleted
}

// without takes away a record that the session is at another process.
func (p *session) without(r *remote) {
	i := slices.Index(p.others, r)
	p.others = slices.Delete(p.others, i, i+1)
	for _, at := range r.places {
		p.stay(at).others--
	}
	r.of, r.places = nil, nil
}

// learn takes over what the watch has told of.
func (t *Tracker) learn(batch []backplane.Record) {
	t.mu.Lock()
	var open []*connection
	for _, rec := range batch {
		parts := strings.Split(strings.TrimPrefix(rec.Key, t.prefix), "/")
		switch {
		case t.closed:
		case len(parts) == 2 && parts[0] == "node":
			t.learnLease(parts[1], rec.Value != nil)
		case len(parts) == 3 && parts[0] == "here" && parts[2] == t.node:
			open = append(open, t.learnOwn(rec)...)
		case len(parts) == 3 && parts[0] == "here":
			open = append(open, t.learnOther(rec, parts[1], parts[2])...)
		}
	}
	t.mu.Unlock()
	t.finish(open)
}

// learnAll is that the watch has told of all there is.
func (t *Tracker) learnAll() {
	t.mu.Lock()
	if t.closed || t.live {
		t.mu.Unlock()
		return
	}
	t.live = true
	if t.watch > 1 { // what it has not told of went between this one and that before
		for _, r := range t.records {
			if r.watch != t.watch {
				t.drop(r)
			}
		}
		for _, n := range t.nodes {
			if n.watch != t.watch {
				t.learnLease(n.id, false)
			}
		}
		for _, e := range t.own {
			t.writeEntry(e)
		}
	}
	t.mu.Unlock()
	t.tell()
}

// learnLease is that a process has its lease, or has not.
func (t *Tracker) learnLease(id string, leased bool) {
	if id == t.node {
		if !leased {
			select {
			case t.renew <- struct{}{}:
			default:
			}
		}
		return
	}
	n := t.nodeOf(id)
	n.leased = leased
	n.watch = t.watch
	n.stop()
	if !leased {
		t.missing(n)
	}
}

func (t *Tracker) nodeOf(id string) *node {
	n := t.nodes[id]
	if n == nil {
		n = &node{id: id, records: make(map[*remote]struct{})}
		t.nodes[id] = n
	}
	return n
}

// missing waits, and then deletes what a process without a lease has left.
func (t *Tracker) missing(n *node) {
	if len(n.records) == 0 {
		delete(t.nodes, n.id)
		return
	}
	before := 1
	for _, o := range t.nodes {
		if o.leased && o.id < t.node {
			before++
		}
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Duration(before)*sweepPause, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if n.timer != timer || t.closed {
			return
		}
		if t.sure() { // else it may be us who are cut off
			for r := range n.records {
				if !r.queued && r.life != 0 { // others go by themselves
					r.queued = true
					t.sweeps = append(t.sweeps, r)
				}
			}
			t.writeMore(len(t.sweeps))
		}
		t.missing(n) // until all are gone
	})
	n.timer = timer
}

// sweep returns how to delete what a dead process has left. The watch tells how it
// went.
func (t *Tracker) sweep(r *remote) func() error {
	r.queued = false
	rev := r.rev
	if r.node.leased || t.records[r.key] != r || t.closed {
		rev = 0 // it is not dead, or another one was faster
	}
	return func() error {
		if rev == 0 {
			return nil
		}
		return t.remove(r.key, rev)
	}
}

// learnOwn is about a record of this process's.
func (t *Tracker) learnOwn(rec backplane.Record) []*connection {
	e := t.own[rec.Key]
	if e == nil || rec.Value != nil {
		return nil
	}
	if e.busy {
		e.gone = rec.Rev // perhaps of what is being written
		return nil
	}
	if e.old == 0 || rec.Rev < e.rev {
		return nil // known
	}
	open := t.swept(e)
	t.writeEntry(e) // again, or not at all
	return open
}

// learnOther is about a record of another process's.
func (t *Tracker) learnOther(rec backplane.Record, hash, id string) []*connection {
	r := t.records[rec.Key]
	if rec.Value == nil {
		if r != nil {
			t.drop(r)
		}
		return nil
	}
	var says record
	err := json.Unmarshal(rec.Value, &says)
	s := Session{User: unescape(says.User), Page: unescape(says.Page)}
	if err != nil || s.Page == "" || t.keyOf(s) != t.prefix+"here/"+hash+"/"+t.node {
		return nil // no record of ours
	}
	if r == nil {
		r = &remote{node: t.nodeOf(id), key: rec.Key}
		t.records[rec.Key] = r
		r.node.records[r] = struct{}{}
		if !r.node.leased && r.node.timer == nil {
			t.missing(r.node)
		}
	} else if rec.Rev <= r.rev {
		r.watch = t.watch
		return nil
	}
	r.rev, r.watch = rec.Rev, t.watch
	open := t.learnEnd(s, r, &says)
	t.count(s, r, &says)
	if p := t.sessions[s]; p != nil && says.Word > r.word && p.heeds(says.Said) {
		if p.say(says.Hidden) && p.life != 0 {
			t.write(p) // for those who come later
		}
		open = append(open, t.review(p)...)
	}
	r.word = says.Word
	return open
}

// drop forgets a record that is not there any more.
func (t *Tracker) drop(r *remote) {
	delete(t.records, r.key)
	delete(r.node.records, r)
	if p := r.of; p != nil {
		p.without(r)
		t.settle(p, false)
	}
	if len(r.node.records) == 0 && !r.node.leased {
		r.node.stop()
		delete(t.nodes, r.node.id)
	}
}

// learnEnd ends what a goodbye has ended that another process has heard.
func (t *Tracker) learnEnd(s Session, r *remote, says *record) (open []*connection) {
	if len(says.Ended) == 0 {
		return nil
	}
	p := t.sessions[s]
	r.over = max(r.over, says.Ended[r.node.id])
	if p == nil {
		return nil
	}
	if p.life != 0 && p.life <= says.Ended[t.node] {
		open = t.away(p)
	}
	for _, o := range slices.Clone(p.others) {
		if life := says.Ended[o.node.id]; o.life <= life {
			o.over = life
			p.without(o)
		}
	}
	t.settle(p, true)
	return open
}

// count has a record count for its session, or not any more.
func (t *Tracker) count(s Session, r *remote, says *record) {
	if p := r.of; p != nil && (says.Life == 0 || r.life < says.Since) {
		p.without(r)
		t.settle(p, says.Life != 0) // it ended, and was back before we heard
	}
	r.life = says.Life
	if says.Life <= r.over {
		return // 0, or ended
	}
	p := t.session(s)
	if p.life == 0 && len(p.others) == 0 { // new
		p.said, p.hidden = says.Said, says.Hidden
	}
	if r.of == nil {
		r.of = p
		p.others = append(p.others, r)
	}
	before := r.places
	r.places = nil
	for _, name := range says.Places {
		stay := t.enter(p, unescape(name))
		if !slices.Contains(r.places, stay.at) {
			stay.others++
			r.places = append(r.places, stay.at)
		}
	}
	for _, at := range before {
		p.stay(at).others--
	}
	t.settle(p, false)
}

// unescape returns what was escaped; the empty string for what was not.
func unescape(s string) string {
	s, _ = url.QueryUnescape(s)
	return s
}
