package coding_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/internal/coding"
	"example.org/sse/internal/wire"
)

// A plain format is not compressed.
type plain struct{}

func (plain) Name() string                            { return "plain" }
func (plain) Window() int64                           { return 0 }
func (plain) Sets() int                               { return 1 }
func (plain) Head() []byte                            { return nil }
func (plain) Leave() []byte                           { return nil }
func (plain) Tail(_, _ uint32) []byte                 { return nil }
func (plain) AppendStored(dst, content []byte) []byte { return append(dst, content...) }
func (plain) NewCompressor() coding.Compressor        { return &counter{f: new(counting)} }

// A counting format counts what is compressed. A piece names the place in its run.
type counting struct {
	plain
	window     int64
	sets       int
	compressed atomic.Int64
}

func (f *counting) Window() int64                    { return f.window }
func (f *counting) Sets() int                        { return f.sets }
func (f *counting) NewCompressor() coding.Compressor { return &counter{f: f} }
func (f *counting) Leave() []byte                    { return []byte("leave;") }

type counter struct {
	f *counting
	n int
}

func (c *counter) Reset() { c.n = 0 }

func (c *counter) Append(dst, content []byte) []byte {
	c.f.compressed.Add(1)
	c.n++
	return fmt.Appendf(dst, "%d;", c.n-1)
}

// big is an event that is worth compressing.
func big() wire.Chunk { return wire.Event{Data: strings.Repeat("x", 992)}.Chunk() }

// An event is one of a log, which is a set's.
type event struct {
	coding.Event
	stamp uint64
	chunk wire.Chunk
}

type log struct {
	coding.Coders
	stamp uint64
}

func (l *log) add() *event {
	l.stamp++
	e := &event{stamp: l.stamp, chunk: big()}
	e.Init(&l.Coders)
	return e
}

func send(s *coding.State, e *event) string {
	lead, piece := s.Event(&e.Event, e.stamp, e.chunk)
	return blocks(lead, piece)
}

func blocks(chunks ...wire.Chunk) (all string) {
	for _, c := range chunks {
		if c != nil {
			all += string(c.Block())
		}
	}
	return all
}

// An event is compressed twice at most, for any number of streams, and only once if all
// of them can share it.
func TestTwoCompressions(t *testing.T) {
	f := &counting{window: 2000, sets: 1}
	c := coding.New(f)
	var l log
	var streams []*coding.State
	for range 100 {
		l.Join(c)
		streams = append(streams, coding.NewState(c))
	}
	for i := range 10 {
		e, before := l.add(), f.compressed.Load()
		for j, s := range streams {
			if j < 10 {
				s.Other(wire.Comment) // these cannot share
			}
			send(s, e)
		}
		// The first event is shared by all, since its piece refers to nothing.
		if got, want := f.compressed.Load()-before, int64(min(2, i+1)); got != want {
			t.Errorf("event %d was compressed %d times, want %d", i, got, want)
		}
	}
}

// A stream is sent a shared piece if, and only if, its decoder has seen enough.
func TestRule(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window int64
		want   string // the pieces of a stream that begins with the third event, of 1000 bytes each
	}{
		{"no window", 0, "2; 3; 4; 5;"},
		{"two events", 2000, "0;leave; 0;leave; 4; 5;"},
		{"two events and a bit", 2001, "0;leave; 0;leave; 0;leave; 5;"},
		{"everything", -1, "0;leave; 0;leave; 0;leave; 0;leave;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := coding.New(&counting{window: tt.window, sets: 1})
			var l log
			l.Join(c)
			l.Join(c)
			old, late, got := coding.NewState(c), coding.NewState(c), []string{}
			for i := range 6 {
				e := l.add()
				if piece := send(old, e); piece != fmt.Sprintf("%d;", i) {
					t.Errorf("event %d to a stream that has seen all: %q", i, piece)
				}
				if i >= 2 {
					got = append(got, send(late, e))
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.window < 0 {
				if got := blocks(old.Other(wire.Comment)); !strings.HasPrefix(got, "leave;") {
					t.Errorf("a comment after a shared piece: %q, want it to leave the run first", got)
				}
			}
		})
	}
}

// When too many deliveries could not be shared the compressor begins again, and all can
// share.
func TestRestarts(t *testing.T) {
	f := &counting{window: -1, sets: 1}
	c := coding.New(f)
	var l log
	streams := make([]*coding.State, 10)
	for i := range streams {
		l.Join(c)
		streams[i] = coding.NewState(c)
	}
	shared := 0
	for range 30 {
		e := l.add()
		for i, s := range streams {
			if i < 5 {
				s.Other(wire.Comment)
			}
			if !strings.HasSuffix(send(s, e), "leave;") {
				shared++
			}
		}
	}
	if got, want := shared, 30*5+7*5; got < want-20 || got > want+20 {
		t.Errorf("%d deliveries were shared, want about %d: all of those without a gap, and every fifth of the others", got, want)
	}
}

// A process has a bounded number of compressors for sets. One that a set does not use
// goes to another set, or with the last member.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coding.New(&counting{window: 2000, sets: 2})
		var logs [3]log
		states := [3]*coding.State{coding.NewState(c), coding.NewState(c), coding.NewState(c)}
		isShared := func(i int) bool { return !strings.HasSuffix(send(states[i], logs[i].add()), "leave;") }
		want := func(when string, want ...bool) {
			t.Helper()
			for i := range logs {
				if got := isShared(i); got != want[i] {
					t.Errorf("%s: the event of set %d is shared: %v, want %v", when, i, got, want[i])
				}
			}
		}
		for i := range logs {
			logs[i].Join(c)
		}
		want("all busy", true, true, false)
		want("all busy", true, true, false)
		logs[0].Leave(c)
		logs[2].Join(c)
		want("the first has no member", false, true, true)
		logs[0].Join(c)
		want("the first is back", false, true, true)
		time.Sleep(time.Minute) // in fake time
		want("all have been idle", true, true, false)
	})
}

// The checksum of a stream does not need the bytes of its events.
func TestChecksum(t *testing.T) {
	f := new(sums)
	c := coding.New(f)
	var l log
	s, want := coding.NewState(c), crc32.NewIEEE()
	for i := range 200 {
		l.stamp++
		e := &event{stamp: l.stamp, chunk: wire.Event{Data: strings.Repeat("y", i*i%1777)}.Chunk()}
		e.Init(&l.Coders)
		send(s, e)
		want.Write(e.chunk.Block())
	}
	s.End()
	if f.sum != want.Sum32() {
		t.Errorf("got %08x, want %08x", f.sum, want.Sum32())
	}
}

// A sums format notes the checksum.
type sums struct {
	plain
	sum uint32
}

func (f *sums) Tail(sum, _ uint32) []byte {
	f.sum = sum
	return nil
}

// Keep-alives are compressed once for all streams, and those that were sent none get what
// they lack with the next event: all can share it.
func TestKeepAlive(t *testing.T) {
	f := &counting{window: 2000, sets: 1}
	c := coding.New(f)
	var l log
	var streams [4]*coding.State
	first := l.add()
	for i := range streams {
		l.Join(c)
		streams[i] = coding.NewState(c)
		send(streams[i], first)
	}
	want := func(when string, want ...string) {
		t.Helper()
		e := l.add()
		for i, s := range streams {
			if got := send(s, e); got != want[i] {
				t.Errorf("%s: stream %d is sent %q, want %q", when, i, got, want[i])
			}
		}
	}
	keepAlive := func(s *coding.State, want string) {
		t.Helper()
		if got := blocks(s.KeepAlive()); got != want {
			t.Errorf("a keep-alive is %q, want %q", got, want)
		}
	}
	keepAlive(streams[0], "1;")
	keepAlive(streams[1], "1;")
	keepAlive(streams[0], "2;")
	keepAlive(streams[2], "1;2;")
	want("after two keep-alives", "3;", "2;3;", "3;", "1;2;3;")
	for i := range 17 {
		keepAlive(streams[0], fmt.Sprint(4+i, ";"))
	}
	want("after too many keep-alives", "21;", "leave;0;leave;", "leave;0;leave;", "leave;0;leave;")
	if got, want := f.compressed.Load(), int64(3+19+1); got != want {
		t.Errorf("compressed %d times, want %d: 3 events, 19 keep-alives, and the last event alone", got, want)
	}
	streams[0].Other(big())
	keepAlive(streams[0], ":\n")
}
