package sse

import (
	"errors"
	"iter"
	"sync"
)

// A Map is a [Set] that keeps a value beside each source: a user, a language, a
// filter. The zero value is ready to use, and its methods may be called from
// any goroutine. A source that ends leaves the map at once. A map keeps no
// history, and a member that is too far behind is closed, as by [CloseSlow]. Views
// that resume are members of a [Set]; see [Set.AddFunc].
type Map[T any] struct {
	once    sync.Once
	members Set
}

func (m *Map[T]) set() *Set {
	m.once.Do(func() {
		m.members.History = -1
		m.members.init()
	})
	return &m.members
}

// Store adds a source with a value, or replaces the value that it has. It
// reports false, and stores nothing, if the source is nil or has ended.
func (m *Map[T]) Store(source *EventSource, value T) bool {
	s := m.set()
	return s.setValue(source, value) || s.add(source, value, nil) || s.setValue(source, value)
}

// Load returns the source's value; ok is false if the map does not have it.
func (m *Map[T]) Load(source *EventSource) (value T, ok bool) {
	if !source.accepted() {
		return value, false
	}
	v, ok := m.set().group.Value(&source.stream)
	value, _ = v.(T) // a nil interface has no type to assert
	return value, ok
}

// Delete takes a source out of the map and leaves it open. It reports whether
// the source was in it.
func (m *Map[T]) Delete(source *EventSource) bool { return m.set().Delete(source) }

// Has reports whether the map has the source.
func (m *Map[T]) Has(source *EventSource) bool { return m.set().Has(source) }

// Clear takes all sources out of the map and leaves them open.
func (m *Map[T]) Clear() { m.set().Clear() }

// Len returns the number of sources.
func (m *Map[T]) Len() int { return m.set().Len() }

// All returns an iterator over the sources and their values; see [Set.All].
func (m *Map[T]) All() iter.Seq2[*EventSource, T] {
	return func(yield func(*EventSource, T) bool) {
		for source := range m.set().All() {
			if value, ok := m.Load(source); ok && !yield(source, value) {
				return
			}
		}
	}
}

// CloseAll closes all sources; see [Set.CloseAll].
func (m *Map[T]) CloseAll() { m.set().group.CloseAll() }

// Dispatch sends an event of the given type, "" for "message", to all sources;
// see [Set.Dispatch].
func (m *Map[T]) Dispatch(typ, data string) (int, error) { return m.set().Dispatch(typ, data) }

// DispatchEvent sends an event to all sources; see [Set.DispatchEvent].
func (m *Map[T]) DispatchEvent(e Event) (int, error) { return m.set().DispatchEvent(e) }

// DispatchFunc sends each source an event of its own, or none: view returns it for
// the source and its value. It returns the number of sources that were sent an
// event. Like [Set.DispatchEvent] it waits for no client; a source whose backlog is
// full is closed with [ErrSlow]. Invalid events are skipped, and the returned error
// joins theirs.
func (m *Map[T]) DispatchFunc(view func(*EventSource, T) (Event, bool)) (int, error) {
	n, largest := 0, 0
	var errs []error
	for source, value := range m.All() {
		e, ok := view(source, value)
		if !ok {
			continue
		}
		chunk, err := e.chunk()
		if err != nil {
			errs = append(errs, err)
		} else if source.stream.Offer(chunk) {
			n++
			largest = max(largest, len(chunk))
		}
	}
	if n > 0 {
		g := &m.set().group
		g.Deliver()
		g.Pace(int64(largest))
	}
	return n, errors.Join(errs...)
}

// setValue replaces a member's value, and reports whether there is such a member.
func (s *Set) setValue(source *EventSource, value any) bool {
	return source.accepted() && s.group.SetValue(&source.stream, value)
}
