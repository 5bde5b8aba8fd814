package client

// An Order checks that the events 1, 2, 3 … come each once and in order. An
// event 0 may come any number of times before them.
type Order struct {
	last    int
	missing map[int]struct{} // numbers that were left out, nil for nearly all streams
	Doubled int
	Swapped int // that came after a later one
}

// Next takes an event's number and reports whether it was the right one.
func (o *Order) Next(event int) bool {
	switch {
	case event == o.last+1:
		o.last = event
		return true
	case event == 0 && o.last == 0:
		return true
	case event > o.last:
		if o.missing == nil {
			o.missing = make(map[int]struct{})
		}
		for n := o.last + 1; n < event; n++ {
			o.missing[n] = struct{}{}
		}
		o.last = event
	default:
		if _, ok := o.missing[event]; ok {
			delete(o.missing, event)
			o.Swapped++
		} else {
			o.Doubled++
		}
	}
	return false
}

// Last returns the highest number so far.
func (o *Order) Last() int { return o.last }

// Lost returns how many events were left out and have not come since.
func (o *Order) Lost() int { return len(o.missing) }
