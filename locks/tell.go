package locks

import "slices"

// note notes a change, to be told. The caller holds t.mu.
func (t *Table[K]) note(e *entry[K], before state) {
	c := Change[K]{Lock: e.lock(), Cause: e.Cause, Reason: e.Reason}
	switch {
	case e.Token != before.Token:
		c.From = before.Holder
		// A store may leave out what was between two changes.
		switch {
		case before.Holder == nobody && c.Held():
			c.Cause = Taken
		case c.Cause == Taken || c.Cause == Queued:
			c.Cause = Released
		}
	case slices.Equal(e.Queue, before.Queue):
		return // renewed
	}
	if t.Changed != nil || t.Set != nil && t.Event != nil {
		t.news = append(t.news, c)
	}
}

// tell tells what was noted, unless somebody does so already: one at a time, in
// order, and with no lock held, so that whoever is told may use the table.
func (t *Table[K]) tell() {
	t.mu.Lock()
	if t.telling {
		t.mu.Unlock()
		return
	}
	t.telling = true
	defer func() { // even if the program's function panics
		t.telling = false
		t.mu.Unlock()
	}()
	for len(t.news) > 0 {
		c := t.news[0]
		t.news = t.news[1:]
		t.mu.Unlock()
		func() {
			defer t.mu.Lock()
			t.dispatch(c)
		}()
	}
	t.news = nil
}

func (t *Table[K]) dispatch(c Change[K]) {
	if t.Set != nil && t.Event != nil {
		t.Set.DispatchEvent(t.Event(c))
	}
	if t.Changed != nil {
		t.Changed(c)
	}
}
