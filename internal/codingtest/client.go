package codingtest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.org/sse"
)

// A client reads a stream, and notes the events.
type client struct {
	m      *mix
	opened chan struct{} // closed when the fields below are set
	source *sse.EventSource
	sets   []string
	own    string         // the name of its direct events
	joined map[string]int // how many events a set had sent before

	until  map[string]int          // how many there were when the stream ended, if that is known
	closed bool                    // by Close
	missed map[string]map[int]bool // events of the sets while it was no member
	lastID atomic.Pointer[string]
	left   atomic.Bool // it has cut the stream

	lastOwn atomic.Int64 // the newest direct event
	ended   atomic.Bool

	stopped atomic.Bool
	goingOn chan struct{}

	// Set by the goroutine that reads, until its end.
	encoded   *bytes.Buffer // nil if the stream is not compressed
	got       map[string][]int
	comments  int
	snapshots int
	end       error
}

func newClient(m *mix) *client {
	c := &client{
		m:       m,
		opened:  make(chan struct{}),
		own:     fmt.Sprintf("own%d", len(m.clients)),
		joined:  make(map[string]int),
		missed:  make(map[string]map[int]bool),
		goingOn: make(chan struct{}, 1),
		got:     make(map[string][]int),
	}
	c.lastOwn.Store(-1)
	return c
}

// stop makes the client read nothing before goOn.
func (c *client) stop() { c.stopped.Store(true) }

func (c *client) goOn() {
	c.stopped.Store(false)
	select {
	case c.goingOn <- struct{}{}:
	default:
	}
}

// ending notes which events the client must get, if its stream has not ended yet.
func (c *client) ending() {
	if c.until != nil || c.source.ReadyState() != sse.Open {
		return
	}
	c.until = map[string]int{c.own: c.m.sent(c.own)}
	for _, name := range c.sets {
		c.until[name] = c.m.sent(name)
	}
}

// miss notes that the client must not get the events from one on.
func (c *client) miss(set string, from int) {
	if c.missed[set] == nil {
		c.missed[set] = make(map[int]bool)
	}
	for n := from; n < c.m.sent(set); n++ {
		c.missed[set][n] = true
	}
}

// read reads the stream to its end, and returns how it ends.
func (c *client) read(body io.Reader, compressed, slow bool, random *rand.Rand) error {
	r := body
	if compressed {
		c.encoded = new(bytes.Buffer)
		var err error
		if r, err = c.m.codec.Decode(io.TeeReader(body, c.encoded)); err != nil {
			return err
		}
	}
	lines := bufio.NewReader(r)
	for {
		for c.stopped.Load() {
			<-c.goingOn
		}
		if slow && random.IntN(20) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(c.m.pause)))) // it is slow
		}
		switch err := c.event(lines); {
		case errors.Is(err, io.EOF): // the decoder's; nothing must follow
			rest, err := io.ReadAll(body)
			if len(rest) > 0 {
				return fmt.Errorf("%w: %d bytes after the end", errWrong, len(rest))
			}
			return cmp.Or(err, io.EOF) // the end of a zstd stream has no mark
		case err != nil:
			return err
		}
	}
}

var errWrong = errors.New("not the plain stream")

// event reads an event, and whatever comes before it. Its lines are those of a plain
// stream, and no other.
func (c *client) event(lines *bufio.Reader) error {
	var id, typ, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err == io.EOF && line+id+typ+data != "" {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		line = line[:len(line)-1]
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(line, ":") && id+typ+data == "":
			c.comments++
		case name == "retry":
		case name == "id" && id == "":
			id = value
		case name == "event" && typ == "":
			typ = value
		case name == "data" && data == "":
			data = value
		case line == "" && data != "":
			if id != "" {
				c.lastID.Store(&id)
			}
			return c.take(typ, data)
		default:
			return fmt.Errorf("%w: got line %.100q", errWrong, line)
		}
	}
}

func (c *client) take(typ, data string) error {
	if typ == "snapshot" {
		c.snapshots++
		return nil
	}
	set, n, err := parse(data)
	if err != nil || typ != "" || data != c.m.text(set, n) {
		return fmt.Errorf("%w: got event %q %.100q, want one that was sent", errWrong, typ, data)
	}
	c.got[set] = append(c.got[set], n)
	if set == c.own {
		c.lastOwn.Store(int64(n))
	}
	return nil
}

// check returns what is wrong with what the client has got, or with its end.
func (c *client) check() error {
	clean := c.count()
	if errors.Is(c.end, errWrong) || clean && !errors.Is(c.end, io.EOF) {
		return fmt.Errorf("reading ended with %w, want a clean end: %v", c.end, clean)
	}
	for set := range maps.Keys(c.got) {
		if !slices.Contains(c.sets, set) && set != c.own {
			return fmt.Errorf("got an event of %s", set)
		}
	}
	for _, set := range append(c.sets, c.own) {
		got, want, all := c.got[set], c.want(set), lossless[set] || set == c.own
		switch {
		case all && clean && c.until != nil:
			if !slices.Equal(got, want) {
				return fmt.Errorf("got of %s\n%v, want\n%v", set, got, want)
			}
		case all:
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				return fmt.Errorf("got of %s\n%v, want the beginning of\n%v", set, got, want)
			}
		default:
			for _, n := range got {
				i := slices.Index(want, n)
				if i < 0 {
					return fmt.Errorf("got of %s\n%v, want some of\n%v, in order", set, got, c.want(set))
				}
				c.m.seen.add("left out by "+set, i)
				want = want[i+1:]
			}
		}
	}
	return nil
}

// want returns the events that a client gets that loses nothing. It may resume, with
// earlier ones than those after it has joined.
func (c *client) want(set string) (want []int) {
	from, to := c.joined[set], c.m.sent(set)
	if got := c.got[set]; len(got) > 0 && got[0] < from {
		from = got[0]
	}
	if c.until != nil {
		to = c.until[set]
	}
	for n := from; n < to; n++ {
		if !c.missed[set][n] {
			want = append(want, n)
		}
	}
	return want
}

// count counts what has happened to the client, and reports whether its end must be
// clean.
func (c *client) count() (clean bool) {
	seen := c.m.seen
	for set, got := range c.got {
		if set == c.own {
			seen.add("direct event", len(got))
			continue
		}
		seen.add("event", len(got))
		if got[0] < c.joined[set] {
			seen.add("resumed", 1)
		}
	}
	seen.add("snapshot", c.snapshots)
	seen.add("comment", c.comments)
	if c.encoded != nil {
		referring, alone := c.m.codec.Pieces(c.encoded.Bytes()[:min(c.encoded.Len(), 16<<10)])
		seen.add("referring piece", referring)
		seen.add("piece alone", alone)
	}
	err := c.source.Err()
	switch {
	case c.left.Load():
		seen.add("end by the client", 1)
		return false
	case errors.Is(err, sse.ErrSlow):
		seen.add("end by CloseSlow", 1)
		return false
	case errors.Is(err, sse.ErrMaxAge):
		c.until = nil
		seen.add("end by MaxAge", 1)
	case errors.Is(err, sse.ErrClosed) && c.closed:
		seen.add("end by Close", 1)
	default:
		seen.add("end of all", 1)
	}
	return true
}
