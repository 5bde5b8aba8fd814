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

// Metrics count what a share of the streams receives.
type metrics struct {
	timeField []string // the path to the field with the time of sending

	mu         sync.Mutex
	connects   *hdrhistogram.Histogram // microseconds
	firsts     *hdrhistogram.Histogram // microseconds, from a request to its first event
	latencies  *hdrhistogram.Histogram // microseconds, of the events with a time
	early      int64                   // events that arrived before their time of sending
	failed     int64
	failure    error // the first
	reconnects int64
	responses  int64 // complete ones
	events     int64
	bytes      int64 // of data
	identified int64 // events whose id contains a position
	repeated   int64
	plain      steps // of ids that are numbers
	ours       steps // of this library's ids
	gaps       map[gap]int64
	positions  map[string]map[uint64]struct{} // by epoch; of this library's ids only
	lasted     time.Duration

	compression compression // of all streams
}

func newMetrics(timeField string) *metrics {
	m := &metrics{
		connects:  hdrhistogram.New(1, time.Hour.Microseconds(), 3),
		firsts:    hdrhistogram.New(1, time.Hour.Microseconds(), 3),
		latencies: hdrhistogram.New(1, time.Hour.Microseconds(), 3),
		gaps:      make(map[gap]int64),
		positions: make(map[string]map[uint64]struct{}),
	}
	if timeField != "" {
		m.timeField = strings.Split(timeField, ".")
	}
	return m
}

// opened counts a connection, which took the given time.
func (m *metrics) opened(after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record(m.connects, after)
}

// first counts a first event, which arrived the given time after the request.
func (m *metrics) first(after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record(m.firsts, after)
}

// completed counts a complete response.
func (m *metrics) completed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.responses++
}

// lost counts a reconnection.
func (m *metrics) lost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reconnects++
}

// fail counts a stream that failed.
func (m *metrics) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed++
	m.failure = cmp.Or(m.failure, err)
}

// event counts an event that arrived at the given time.
func (m *metrics) event(e sse.Event, s *sequence, now time.Time) {
	sent, timed := m.sent(e.Data, now)
	_, n, identified := parseID(e.ID)
	before := s.steps
	repeated, g := s.next(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events++
	m.bytes += int64(len(e.Data))
	if timed {
		if now.Before(sent) {
			m.early++
		}
		record(m.latencies, now.Sub(sent))
	}
	if !identified {
		return
	}
	m.identified++
	count := &m.plain
	if s.epoch != "" {
		count = &m.ours
	}
	count.add(steps{s.steps.next - before.next, s.jumps - before.jumps, s.turns - before.turns})
	if repeated {
		m.repeated++
	}
	if g != (gap{}) {
		m.gaps[g]++
	}
	if s.epoch != "" {
		if m.positions[s.epoch] == nil {
			m.positions[s.epoch] = make(map[uint64]struct{})
		}
		m.positions[s.epoch][n] = struct{}{}
	}
}

// record records d, limited to the histogram's range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())) //nolint:errcheck // it is in range
}

// sent returns the time of sending that an event's data contains, if any.
func (m *metrics) sent(data string, now time.Time) (time.Time, bool) {
	if m.timeField == nil {
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
	for _, name := range m.timeField {
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

// timeOf parses a time: RFC 3339, or a number since 1970 in the unit that puts it
// within an hour of now.
func timeOf(text string, now time.Time) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, true
	}
	const year3000 = 32503680000 // in seconds; a larger number has a smaller unit
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

// merge adds the counts of from.
func (m *metrics) merge(from *metrics) {
	m.connects.Merge(from.connects)
	m.firsts.Merge(from.firsts)
	m.latencies.Merge(from.latencies)
	m.early += from.early
	m.failed += from.failed
	m.failure = cmp.Or(m.failure, from.failure)
	m.reconnects += from.reconnects
	m.responses += from.responses
	m.events += from.events
	m.bytes += from.bytes
	m.identified += from.identified
	m.repeated += from.repeated
	m.plain.add(from.plain)
	m.ours.add(from.ours)
	for g, n := range from.gaps {
		m.gaps[g] += n
	}
	for epoch, positions := range from.positions {
		if m.positions[epoch] == nil {
			m.positions[epoch] = positions
			continue
		}
		for n := range positions {
			m.positions[epoch][n] = struct{}{}
		}
	}
}

// missed returns the number of events that streams did not receive, if the ids show
// it. Plain numbers must be consecutive, except for a gap now and then: they may be
// times, or count something else. This library's numbers also count events of other
// sets, so an event counts as missed only if another stream received it.
func (m *metrics) missed(streams int) (missed int64, known bool) {
	plain := m.plain.next > 0 && m.plain.next >= m.plain.jumps
	ours := m.ours.next+m.ours.jumps > m.ours.turns && (streams > 1 || m.ours.jumps == 0)
	if m.plain.jumps > 0 && !plain || !plain && !ours {
		return 0, false
	}
	sorted := make(map[string][]uint64)
	for epoch, positions := range m.positions {
		for n := range positions {
			sorted[epoch] = append(sorted[epoch], n)
		}
		slices.Sort(sorted[epoch])
	}
	for g, count := range m.gaps {
		between := g.to - g.from - 1
		if g.epoch != "" {
			from, _ := slices.BinarySearch(sorted[g.epoch], g.from+1)
			to, _ := slices.BinarySearch(sorted[g.epoch], g.to)
			between = uint64(to - from)
		}
		missed += count * int64(between)
	}
	return missed, true
}
