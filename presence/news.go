package presence

// news is something to tell the program: that a session has ended, or a change.
type news struct {
	left   Session // its Page is empty in a change
	change Change
}

// tell tells the news, in their order. If somebody does so already, he tells these
// too.
func (t *Tracker) tell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.telling {
		return
	}
	t.telling = true
	defer func() { t.telling = false }() // should a function panic
	for len(t.news) > 0 {
		n := t.news[0]
		t.news = t.news[1:]
		t.pass(n)
	}
	t.news = nil
}

// pass calls the program with a piece of news. It gives the lock back meanwhile.
func (t *Tracker) pass(n news) {
	leave := t.leave
	t.mu.Unlock()
	defer t.mu.Lock()
	if n.left.Page != "" {
		for _, f := range leave {
			(*f)(n.left)
		}
	} else if t.Changed != nil {
		t.Changed(n.change)
	}
}
