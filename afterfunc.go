package sse

// An afterFunc is what is to be called once a stream has ended.
type afterFunc struct {
	f    func()
	next *afterFunc
}

// AfterFunc arranges to call f in a goroutine of its own once the stream has
// ended, for whatever reason: then [EventSource.Err] tells which. It is called at
// once if that has been. It is for what belongs to a stream, and must be freed
// with it, when there is no handler any more that could wait, because it has
// called [EventSource.Detach]; several functions may be arranged.
//
// Calling stop takes f back. It reports whether it did: not if f has been
// called, or been taken back before. It is [context.AfterFunc] for streams.
func (s *EventSource) AfterFunc(f func()) (stop func() bool) {
	if !s.accepted() {
		go f()
		return func() bool { return false }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		go f()
		return func() bool { return false }
	}
	a := &afterFunc{f: f, next: s.after}
	s.after = a
	return func() bool { return s.takeBack(a) }
}

func (s *EventSource) takeBack(a *afterFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := &s.after; *at != nil; at = &(*at).next {
		if *at == a {
			*at = a.next
			return true
		}
	}
	return false
}

// call calls the functions, the one that was arranged first before the others,
// each in a goroutine of its own.
func (a *afterFunc) call() {
	if a != nil {
		a.next.call()
		go a.f()
	}
}
