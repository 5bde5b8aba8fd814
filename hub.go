package sse

import (
	"runtime"
	"sync"
	"time"
	"weak"
)

// A Hub is any number of sets by name, for rooms, topics or users, on one log:
// events of different sets have one order, and a source in several of them one
// place to resume from. The zero value is ready to use; the exported fields may
// be set before first use and not after. Its methods may be called from any
// goroutine.
type Hub struct {
	// History, HistoryBytes and HistoryAge bound what all sets together keep
	// for clients that come back; see [Set]. The sets' own bounds are not used.
	History      int
	HistoryBytes int
	HistoryAge   time.Duration

	// Init, if not nil, sets the fields of a set when it is made. It must not
	// call the hub.
	Init func(name string, s *Set)

	mu   sync.Mutex
	log  *log
	sets map[string]weak.Pointer[Set]
}

// Set returns the set of that name. It is made at first use, and gone when
// nobody needs it any more: it has no members, no history, and the program
// holds it no longer.
func (h *Hub) Set(name string) *Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sets[name].Value(); s != nil {
		return s
	}
	if h.sets == nil {
		h.sets = make(map[string]weak.Pointer[Set])
		h.log = newLog(h.History, h.HistoryBytes, h.HistoryAge)
	}
	s := new(Set)
	if h.Init != nil {
		h.Init(name, s)
	}
	s.log = h.log
	s.init()
	h.sets[name] = weak.Make(s)
	runtime.AddCleanup(s, h.forget, name)
	return s
}

// forget removes the name of a set that is gone, if no new one has it.
func (h *Hub) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sets[name].Value() == nil {
		delete(h.sets, name)
	}
}

// Len returns the number of sets.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sets)
}

// Add adds a source to several sets at once and reports whether it joined any;
// see [Set.Add]. A source that resumes gets what it missed in all of them, in
// one order. Added one by one, it would resume in the first alone. Names that
// come from the client should be checked, and counted: each makes a set.
func (h *Hub) Add(source *EventSource, names ...string) bool {
	var sets []*Set
	for _, name := range names {
		sets = append(sets, h.Set(name)) // may call Init, and so comes first
	}
	var members []*member
	for _, s := range sets {
		if m := s.enter(source, nil); m != nil {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return false
	}
	join(source, members)
	return true
}
