package presence

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.org/sse/backplane"
)

// sweepPause is how long the first of the processes with a lease waits before it
// deletes the records of a process without one; each further process waits that much
// longer. The store may have been down for longer than all leases, and then all
// processes come back at the same time.
const sweepPause = time.Second

// A node is another process.
type node struct {
	id      string
	leased  bool
	seen    uint64 // see leaseRecord
	watch   int    // the newest watch that has listed its lease
	records map[*remote]struct{}
	timer   *time.Timer // to delete the records; nil if the process has its lease
}

func (n *node) stop() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// A remote is another process's record of a session.
type remote struct {
	node   *node
	key    string
	rev    uint64
	watch  int // the newest watch that has listed it
	life   uint64
	ended  uint64   // lives up to this one were ended by a goodbye
	heard  uint64   // the newest message that it has reported, by that process's count
	places []*place // the places that it lists
	of     *session // the session that it keeps present; nil if none
	queued bool     // for deletion
}

// removeRemote removes a record that keeps the session present at another process.
func (p *session) removeRemote(r *remote) {
	i := slices.Index(p.others, r)
	p.others = slices.Delete(p.others, i, i+1)
	for _, at := range r.places {
		p.stay(at).others--
	}
	r.of, r.places = nil, nil
}

// applyRecords updates the tracker from records that the watch has delivered.
func (t *Tracker) applyRecords(batch []backplane.Record) {
	t.mu.Lock()
	var open []*connection
	for _, rec := range batch {
		parts := strings.Split(strings.TrimPrefix(rec.Key, keyPrefix), "/")
		switch {
		case t.closed:
		case len(parts) == 2 && parts[0] == "node":
			t.applyLeaseLocked(parts[1], rec)
		case len(parts) == 3 && parts[0] == "here" && parts[2] == t.node:
			open = append(open, t.applyOwnLocked(rec)...)
		case len(parts) == 3 && parts[0] == "here":
			open = append(open, t.applyOtherLocked(rec, parts[1], parts[2])...)
		}
	}
	t.mu.Unlock()
	t.notifyAndClose(open)
}

// applied records that all of these records were applied and passed on.
func (t *Tracker) applied(batch []backplane.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rec := range batch {
		t.seen = max(t.seen, rec.Rev)
	}
	t.answerLocked()
	t.answeredLocked()
}

// endListing handles the end of the watch's initial listing.
func (t *Tracker) endListing() {
	t.mu.Lock()
	if t.closed || t.live {
		t.mu.Unlock()
		return
	}
	t.live = true
	if t.watches > 1 { // records that are not listed were deleted before this watch began
		for _, r := range t.records {
			if r.watch != t.watches {
				t.dropLocked(r)
			}
		}
		for _, n := range t.nodes {
			if n.watch != t.watches {
				t.applyLeaseLocked(n.id, backplane.Record{})
			}
		}
		for _, e := range t.own {
			t.writeEntryLocked(e)
		}
	}
	t.mu.Unlock()
	t.notify()
}

// applyLeaseLocked handles the record, or the missing record, of a process's lease.
func (t *Tracker) applyLeaseLocked(id string, rec backplane.Record) {
	leased := rec.Value != nil
	if id == t.node {
		t.unheard, t.resume = time.Time{}, time.Time{}
		if !leased {
			t.renewSoon()
		}
		return
	}
	var content leaseRecord
	_ = json.Unmarshal(rec.Value, &content) // a process that says nothing has seen nothing
	n := t.nodeLocked(id)
	n.leased = leased
	if n.seen = content.Seen; content.Closed {
		n.seen = math.MaxUint64
	}
	n.watch = t.watches
	if content.Ask {
		t.asked = max(t.asked, rec.Rev)
	}
	n.stop()
	if !leased {
		t.scheduleSweepLocked(n)
	}
}

func (t *Tracker) nodeLocked(id string) *node {
	n := t.nodes[id]
	if n == nil {
		n = &node{id: id, records: make(map[*remote]struct{})}
		t.nodes[id] = n
	}
	return n
}

// scheduleSweepLocked deletes, after a pause, the records of a process without a lease.
func (t *Tracker) scheduleSweepLocked(n *node) {
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
		if t.leasedLocked() { // otherwise this process may be the one that is cut off
			for r := range n.records {
				if !r.queued && r.life != 0 { // others expire by themselves
					r.queued = true
					t.sweeps = append(t.sweeps, r)
				}
			}
			t.startWritersLocked(len(t.sweeps))
		}
		t.scheduleSweepLocked(n) // again, until all are gone
	})
	n.timer = timer
}

// sweepLocked returns a function that deletes a record of a dead process. The watch
// delivers the outcome.
func (t *Tracker) sweepLocked(r *remote) func() error {
	r.queued = false
	rev := r.rev
	if r.node.leased || t.records[r.key] != r || t.closed {
		rev = 0 // the process is back, or another one was faster
	}
	return func() error {
		if rev == 0 {
			return nil
		}
		return t.remove(r.key, rev)
	}
}

// applyOwnLocked handles a deleted record of this process.
func (t *Tracker) applyOwnLocked(rec backplane.Record) []*connection {
	e := t.own[rec.Key]
	if e == nil || rec.Value != nil {
		return nil
	}
	if e.busy {
		e.gone = rec.Rev // perhaps the end of what is being written
		return nil
	}
	if e.old == 0 || rec.Rev < e.rev {
		return nil // already known
	}
	open := t.deletedLocked(e)
	t.writeEntryLocked(e) // if there is something to write
	return open
}

// applyOtherLocked handles a record of another process.
func (t *Tracker) applyOtherLocked(rec backplane.Record, hash, id string) []*connection {
	r := t.records[rec.Key]
	if rec.Value == nil {
		if r != nil {
			t.dropLocked(r)
		}
		return nil
	}
	var content record
	err := json.Unmarshal(rec.Value, &content)
	s := Session{User: unescape(content.User), Page: unescape(content.Page)}
	if err != nil || s.Page == "" || t.keyOf(s) != keyPrefix+"here/"+hash+"/"+t.node {
		return nil // not a tracker's record
	}
	if r == nil {
		r = &remote{node: t.nodeLocked(id), key: rec.Key}
		t.records[rec.Key] = r
		r.node.records[r] = struct{}{}
		if !r.node.leased && r.node.timer == nil {
			t.scheduleSweepLocked(r.node)
		}
	} else if rec.Rev == r.rev || rec.Rev < r.rev && r.watch == t.watches {
		r.watch = t.watches
		return nil
	}
	r.rev, r.watch = rec.Rev, t.watches
	open := t.applyGoodbyeLocked(s, r, &content)
	t.applyLifeLocked(s, r, &content)
	if p := t.sessions[s]; p != nil && content.Heard > r.heard && p.isNews(content.Message) {
		if p.setHidden(content.Hidden) && p.life != 0 {
			t.writeLocked(p) // for processes that start later
		}
		open = append(open, t.expireLocked(p)...)
	}
	r.heard = content.Heard
	if p := t.sessions[s]; p != nil {
		t.mergeDataLocked(p, content.Data)
	}
	return open
}

// dropLocked removes a record that was deleted.
func (t *Tracker) dropLocked(r *remote) {
	delete(t.records, r.key)
	delete(r.node.records, r)
	if p := r.of; p != nil {
		p.removeRemote(r)
		t.pruneLocked(p, false)
	}
	if len(r.node.records) == 0 && !r.node.leased {
		r.node.stop()
		delete(t.nodes, r.node.id)
	}
}

// applyGoodbyeLocked ends the lives that a goodbye to another process has ended.
func (t *Tracker) applyGoodbyeLocked(s Session, r *remote, content *record) (open []*connection) {
	if len(content.Ended) == 0 {
		return nil
	}
	p := t.sessions[s]
	r.ended = max(r.ended, content.Ended[r.node.id])
	if p == nil {
		return nil
	}
	if p.life != 0 && p.life <= content.Ended[t.node] {
		open = t.departLocked(p)
	}
	for _, o := range slices.Clone(p.others) {
		if life := content.Ended[o.node.id]; o.life <= life {
			o.ended = life
			p.removeRemote(o)
		}
	}
	t.pruneLocked(p, true)
	return open
}

// applyLifeLocked makes a record keep its session present, or stop doing so.
func (t *Tracker) applyLifeLocked(s Session, r *remote, content *record) {
	if p := r.of; p != nil && (content.Life == 0 || r.life < content.Since) {
		p.removeRemote(r)
		t.pruneLocked(p, content.Life != 0) // it ended and came back before this process knew
	}
	r.life = content.Life
	if content.Life <= r.ended {
		return // not there, or ended
	}
	p := t.sessionLocked(s)
	if p.life == 0 && len(p.others) == 0 { // new
		p.message, p.hidden = content.Message, content.Hidden
	}
	if r.of == nil {
		r.of = p
		p.others = append(p.others, r)
	}
	before := r.places
	r.places = nil
	for _, name := range content.Places {
		stay := t.enterLocked(p, unescape(name))
		if !slices.Contains(r.places, stay.at) {
			stay.others++
			r.places = append(r.places, stay.at)
		}
	}
	for _, at := range before {
		p.stay(at).others--
	}
	t.pruneLocked(p, false)
}

// unescape reverses the escaping of a name. It returns the empty string for other text.
func unescape(s string) string {
	s, _ = url.QueryUnescape(s)
	return s
}
