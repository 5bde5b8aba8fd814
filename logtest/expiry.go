package logtest

import (
	"strconv"
	"testing"
	"time"

	"example.org/sse/backplane"
)

// grace is how late the store and the test may see an expiry.
const grace = 2*time.Second + 3*time.Second

// A record with a time to live expires after that time and not before, and watchers see
// it.
func testExpiry(t *testing.T, open OpenStore) {
	name := unique("expiry")
	a, b := open(t, name), open(t, name)
	w := watch(t, b, "", nil)
	for _, ttl := range []time.Duration{time.Second, 1200 * time.Millisecond, 3 * time.Second} {
		key := ttl.String()
		begin := time.Now()
		rev := swap(t, a, key, 0, []byte("value"), ttl).Rev
		set := time.Now()
		if r := conflict(t, b, key, 0); r.Rev != rev {
			t.Errorf("after %v of %v: got record %+v, want revision %d", time.Since(begin), ttl, r, rev)
		}
		gone, at := w.until(key, nil)
		if at.Sub(begin) < ttl || at.Sub(set) > backplane.RoundTTL(ttl)+grace {
			t.Errorf("a record with ttl %v expired after %v", ttl, at.Sub(begin))
		}
		if gone.Rev <= rev {
			t.Errorf("expired at revision %d, want more than %d", gone.Rev, rev)
		}
		if again := swap(t, b, key, 0, []byte("again"), 0); again.Rev <= gone.Rev {
			t.Errorf("created again at revision %d, want more than %d", again.Rev, gone.Rev)
		}
	}
}

// A record that is renewed in time does not expire.
func testRenewal(t *testing.T, open OpenStore) {
	const ttl = 3 * time.Second
	name := unique("renewal")
	a, b := open(t, name), open(t, name)
	w := watch(t, b, "", nil)
	begin := time.Now()
	r := swap(t, a, "lease", 0, []byte("0"), ttl)
	for i := range 6 {
		time.Sleep(ttl / 3) // on the store's clock
		renewing := time.Now()
		if renewing.Sub(begin) > ttl*9/10 {
			t.Skip("this machine is too busy to renew in time")
		}
		begin = renewing
		r = swap(t, a, "lease", r.Rev, []byte(strconv.Itoa(i+1)), ttl)
	}
	_, at := w.until("lease", nil)
	if at.Sub(begin) < ttl {
		t.Errorf("expired %v after it was renewed for %v", at.Sub(begin), ttl)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.seen {
		if r.Value == nil && w.times[i].Sub(begin) < 0 {
			t.Errorf("expired before the last renewal, at revision %d", r.Rev)
		}
	}
}

// An expired record cannot be renewed, even if no other process has created it again.
func testTooLate(t *testing.T, open OpenStore) {
	name := unique("late")
	a, b := open(t, name), open(t, name)
	w := watch(t, b, "", nil)
	mine := swap(t, a, "lock", 0, []byte("mine"), time.Second)
	w.until("lock", nil)
	if r := conflict(t, a, "lock", mine.Rev); r.Rev != 0 {
		t.Errorf("after expiry: got record %+v, want none", r)
	}
	yours := swap(t, b, "lock", 0, []byte("yours"), 0)
	if r := conflict(t, a, "lock", mine.Rev); r.Rev != yours.Rev || string(r.Value) != "yours" {
		t.Errorf("got record %+v, want %+v", r, yours)
	}
}

// A swap without a time to live removes the one of the swap before.
func testLifted(t *testing.T, open OpenStore) {
	s := open(t, unique("lifted"))
	r := swap(t, s, "k", 0, []byte("for a second"), time.Second)
	r = swap(t, s, "k", r.Rev, []byte("for good"), 0)
	time.Sleep(time.Second + grace) // nothing must happen
	if now := conflict(t, s, "k", 0); now.Rev != r.Rev {
		t.Errorf("got record %+v, want %+v", now, r)
	}
}
