package stream

import "sync/atomic"

// A turn lets one goroutine at a time do a piece of work, and forgets none: after
// a call of claim the caller, or the goroutine that has the turn, looks at what
// there is to do.
type turn struct{ state atomic.Int32 }

const (
	turnFree  int32 = iota
	turnTaken       // a goroutine has it
	turnAgain       // and must look again
)

// claim takes the turn if it is free, and reports whether the caller has it now.
func (t *turn) claim() bool {
	for {
		switch t.state.Load() {
		case turnFree:
			if t.state.CompareAndSwap(turnFree, turnTaken) {
				return true
			}
		case turnTaken:
			if t.state.CompareAndSwap(turnTaken, turnAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// yield gives the turn back, unless claim has been called meanwhile: then it
// reports false, and the caller still has the turn and must look again.
func (t *turn) yield() bool {
	if t.state.CompareAndSwap(turnTaken, turnFree) {
		return true
	}
	t.state.Store(turnTaken)
	return false
}
