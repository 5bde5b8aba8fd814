package presence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxData is the maximum size of a session's data as JSON, in bytes.
const maxData = 1 << 10

// A Member is a session in a place, with its data. As JSON it is
// {"user":"Ann","page":"…","data":…}.
type Member struct {
	Session
	Data json.RawMessage `json:"data,omitempty"` // see [Tracker.SetData]; nil: none; read-only
}

// Members returns the sessions in a place, sorted by user and page. A user who reloads
// the page is not among them for a moment, unlike in [Tracker.Users].
func (t *Tracker) Members(place string) []Member {
	t.start()
	t.mu.Lock()
	list := t.membersLocked(place)
	t.mu.Unlock()
	return sortMembers(list)
}

// membersLocked returns the sessions in a place, unsorted.
func (t *Tracker) membersLocked(name string) []Member {
	var list []Member
	if at := t.places[name]; at != nil {
		for _, p := range at.members {
			list = append(list, Member{p.id, p.data.json()})
		}
	}
	return list
}

func sortMembers(list []Member) []Member {
	slices.SortFunc(list, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Page, b.Page))
	})
	return list
}

// SetData sets the data of a session: what its page wants others to know, such as a
// cursor, a color, or that the user is typing. It has at most 1 KiB as JSON; nil, which is
// null, removes it. The other processes that share the Store get it, too. It is kept as
// long as the session is present. [Tracker.Members] and [Tracker.Watch] show it to others.
// A page sets its own data by a message, see [Tracker.ServeHTTP].
//
// SetData returns an error, and changes nothing, if v cannot be encoded as JSON, is too
// large, or the session is not present.
func (t *Tracker) SetData(s Session, v any) error {
	raw, err := json.Marshal(v)
	if err == nil && len(raw) > maxData {
		err = fmt.Errorf("is %d bytes long as JSON, limit %d", len(raw), maxData)
	}
	if err != nil {
		return fmt.Errorf("presence: session data: %w", err)
	}
	t.start()
	t.mu.Lock()
	p := t.sessions[s]
	if p == nil || t.closed {
		t.mu.Unlock()
		return errAbsent
	}
	t.setDataLocked(p, raw, 0)
	t.mu.Unlock()
	return nil
}

var errAbsent = errors.New("presence: session data: the session is not present")

// data is the data of a session. It is replaced, not changed. Of two, all processes keep
// the same one: that of the page's newer message, or else the one that was set later.
type data struct {
	JSON    json.RawMessage `json:"json,omitempty"`
	Message uint64          `json:"n,omitempty"` // number of the newest message with data, by the page's count
	Set     int64           `json:"set"`         // Unix microseconds, and later than what it replaced
}

// json returns the data as JSON, or nil.
func (d *data) json() json.RawMessage {
	if d == nil {
		return nil
	}
	return d.JSON
}

// newer reports whether d replaces another, which may be nil.
func (d *data) newer(than *data) bool {
	switch {
	case d == nil:
		return false
	case than == nil:
		return true
	}
	return cmp.Or(cmp.Compare(d.Message, than.Message), cmp.Compare(d.Set, than.Set), bytes.Compare(d.JSON, than.JSON)) > 0
}

// setDataLocked gives a session new data, from its page's message n or, if that is 0, from
// the program. Messages that were overtaken by newer ones are ignored.
func (t *Tracker) setDataLocked(p *session, raw json.RawMessage, n uint64) {
	d := &data{Message: n, Set: time.Now().UnixMicro()}
	if string(raw) != "null" {
		d.JSON = raw
	}
	if old := p.data; old != nil {
		if n != 0 && n <= old.Message {
			return
		}
		d.Message, d.Set = max(n, old.Message), max(d.Set, old.Set+1)
	}
	p.data, p.dataHere = d, true
	t.dataChangedLocked(p)
	t.writeLocked(p)
}

// mergeDataLocked gives a session the data that another process has written.
func (t *Tracker) mergeDataLocked(p *session, d *data) {
	if !d.newer(p.data) {
		return
	}
	if p.data == nil || d.Message > p.data.Message {
		p.renewed = time.Now() // the page has sent it
	}
	p.data = d
	t.dataChangedLocked(p)
	if p.life != 0 {
		t.writeLocked(p) // for processes that start later
	}
}

func (t *Tracker) dataChangedLocked(p *session) {
	for _, s := range p.stays {
		t.showLocked(s.at.name)
	}
}
