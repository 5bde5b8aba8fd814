package presence

// A notice is what a tracker has to report to the program: the end of a session, or a
// change.
type notice struct {
	left    Session // its Page is empty if this is a change
	goodbye bool
	change  Change
}

// notify reports the notices, in order. If another goroutine is doing so, that one
// reports these too.
func (t *Tracker) notify() {
	t.mu.Lock()
	if t.notifying || len(t.notices) == 0 {
		t.mu.Unlock()
		return
	}
	t.notifying = true
	t.mu.Unlock()
	ended := false
	defer func() {
		if !ended { // a function of the program panicked
			t.mu.Lock()
			t.notifying = false
			t.mu.Unlock()
		}
	}()
	for {
		t.mu.Lock()
		if len(t.notices) == 0 {
			t.notices, t.notifying, ended = nil, false, true
			t.mu.Unlock()
			return
		}
		n := t.notices[0]
		t.notices = t.notices[1:]
		leave, followers := t.leave, t.followers
		t.mu.Unlock()
		t.report(n, leave, followers)
	}
}

// report calls the program's functions.
func (t *Tracker) report(n notice, leave []*func(Session), followers []*attachment) {
	if n.left.Page != "" {
		for _, f := range leave {
			(*f)(n.left)
		}
		for _, f := range followers {
			f.Left(n.left, n.goodbye)
		}
	} else if t.Changed != nil {
		t.Changed(n.change)
	}
}
