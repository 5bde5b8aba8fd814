package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse"
)

// A tally counts what some of the streams see.
type tally struct {
	timeField []string // the path to it

	mu         sync.Mutex
	connects   *hdrhistogram.Histogram // microseconds
	latencies  *hdrhistogram.Histogram // microseconds, of the events that tell a time
	early      int64                   // events that were there before they were sent, by their clock
	failed     int64
	failure    error // the first
	reconnects int64
	events     int64
	bytes      int64 // of data
	identified int64 // events with an id that tells their place
	repeated   int64
	jumps      map[jump]int64
	places     map[string]map[uint64]struct{} // by epoch; those of this library's ids
	lasted     time.Duration
}

func newTally(timeField string) *tally {
	t := &tally{
		connects:  hdrhistogram.New(1, time.Hour.Microseconds(), 3),
		latencies: hdrhistogram.New(1, time.Hour.Microseconds(), 3),
		jumps:     make(map[jump]int64),
		places:    make(map[string]map[uint64]struct{}),
	}
	if timeField != "" {
		t.timeField = strings.Split(timeField, ".")
	}
	return t
}

// opened counts a connection.
func (t *tally) opened(after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.connects, after)
}

// lost counts a connection that is made again.
func (t *tally) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reconnects++
}

// fail counts a stream that ended for good.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed++
	t.failure = cmp.Or(t.failure, err)
}

// event counts an event that came just now.
func (t *tally) event(e sse.Event, o *order, now time.Time) {
	sent, timed := t.sent(e.Data, now)
	_, n, identified := parseID(e.ID)
	repeated, j := o.next(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events++
	t.bytes += int64(len(e.Data))
	if timed {
		if now.Before(sent) {
			t.early++
		}
		record(t.latencies, now.Sub(sent))
	}
	if !identified {
		return
	}
	t.identified++
	if repeated {
		t.repeated++
	}
	if j != (jump{}) {
		t.jumps[j]++
	}
	if o.epoch != "" {
		if t.places[o.epoch] == nil {
			t.places[o.epoch] = make(map[uint64]struct{})
		}
		t.places[o.epoch][n] = struct{}{}
	}
}

// record takes what is beyond the histogram's range for its ends.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())) //nolint:errcheck // it is in range
}

// sent returns when an event was sent, if its data tells.
func (t *tally) sent(data string, now time.Time) (time.Time, bool) {
	if t.timeField == nil {
		start := strings.IndexAny(data, "0123456789")
		if start < 0 {
			return time.Time{}, false
		}
		number := data[start:]
		if end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			number = number[:end]
		}
		return timeOf(number, now)
	}
	value := json.RawMessage(data)
	for _, name := range t.timeField {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return time.Time{}, false
		}
		value = object[name]
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value)
	}
	return timeOf(text, now)
}

// timeOf returns the time that a text is: RFC 3339, or a number since 1970 in
// whichever unit puts it within an hour of now.
func timeOf(text string, now time.Time) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, true
	}
	const year3000 = 32503680000 // in seconds; a number above it is of a smaller unit
	whole, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds > year3000 || seconds < 0 {
			return time.Time{}, false
		}
		whole = int64(seconds * 1e6)
	}
	for _, at := range []time.Time{time.Unix(0, whole), time.UnixMicro(whole), time.UnixMilli(whole)} {
		if at.Sub(now).Abs() < time.Hour {
			return at, true
		}
	}
	return time.Time{}, false
}

// merge adds another tally.
func (t *tally) merge(from *tally) {
	t.connects.Merge(from.connects)
	t.latencies.Merge(from.latencies)
	t.early += from.early
	t.failed += from.failed
	t.failure = cmp.Or(t.failure, from.failure)
	t.reconnects += from.reconnects
	t.events += from.events
	t.bytes += from.bytes
	t.identified += from.identified
	t.repeated += from.repeated
	for j, n := range from.jumps {
		t.jumps[j] += n
	}
	for epoch, places := range from.places {
		if t.places[epoch] == nil {
			t.places[epoch] = places
			continue
		}
		for n := range places {
			t.places[epoch][n] = struct{}{}
		}
	}
}

// missed returns how many events streams did not get. Plain numbers are taken to
// count up by one. This library's count whatever the process dispatches, so
// there an event that is missing at one stream is one that another has got.
func (t *tally) missed() (missed int64) {
	sorted := make(map[string][]uint64)
	for epoch, places := range t.places {
		for n := range places {
			sorted[epoch] = append(sorted[epoch], n)
		}
		slices.Sort(sorted[epoch])
	}
	for j, streams := range t.jumps {
		between := j.to - j.from - 1
		if j.epoch != "" {
			from, _ := slices.BinarySearch(sorted[j.epoch], j.from+1)
			to, _ := slices.BinarySearch(sorted[j.epoch], j.to)
			between = uint64(to - from)
		}
		missed += streams * int64(between)
	}
	return missed
}
