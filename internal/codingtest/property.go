// Package codingtest tests codings.
package codingtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"example.org/sse/internal/coding"
	"example.org/sse/internal/wire"
)

// A set is a log of events and its coders.
type set struct {
	coding.Coders
	events []*event
}

type event struct {
	coding.Event
	stamp uint64
	chunk wire.Chunk
}

// A stream is what one client has been sent, as it is and coded.
type stream struct {
	state  *coding.State
	plain  bytes.Buffer
	pieces [][]byte
	ends   []int  // what of plain must have been put out with each piece
	at     [2]int // the next event of each set
	member [2]bool
}

func (s *stream) send(plain wire.Chunk, lead, piece wire.Chunk) {
	for _, c := range []wire.Chunk{lead, piece} {
		if len(c) > 0 {
			s.pieces, s.ends = append(s.pieces, c.Block()), append(s.ends, s.plain.Len())
		}
	}
	s.plain.Write(plain.Block())
	s.ends[len(s.ends)-1] = s.plain.Len()
}

func (s *stream) event(e *event) {
	before := s.state.Size()
	lead, piece := s.state.Event(&e.Event, e.stamp, e.chunk)
	s.missed(before, len(e.chunk.Block()))
	s.send(e.chunk, lead, piece)
}

func (s *stream) keepAlive() {
	before, comment := s.state.Size(), len(wire.Comment.Block())
	lead, piece := s.state.KeepAlive()
	s.missed(before, comment)
	s.send(wire.Comment, lead, piece)
}

// missed adds to the plain stream the comments that it is sent with something of n bytes.
func (s *stream) missed(before uint32, n int) {
	for missed := int(s.state.Size()-before) - n; missed > 0; missed -= len(wire.Comment.Block()) {
		s.plain.Write(wire.Comment.Block())
	}
}

func (s *stream) other(c wire.Chunk) {
	lead, piece := s.state.Other(c)
	s.send(c, lead, piece)
}

// A feed hands pieces to a decoder, and checks that the decoder asks for one only after
// it has put out all of those before.
type feed struct {
	s    *stream
	i    int
	rest []byte
	out  bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.i > 0 && f.i <= len(f.s.ends) && f.out.Len() != f.s.ends[f.i-1] {
			return 0, fmt.Errorf("piece %d: the decoder has put out %d bytes, want %d", f.i-1, f.out.Len(), f.s.ends[f.i-1])
		}
		if f.i == len(f.s.pieces) {
			return 0, io.EOF
		}
		f.rest = f.s.pieces[f.i]
		f.i++
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// check decodes the stream.
func (s *stream) check(c Codec) error {
	if end := s.state.End(); end != nil {
		s.pieces, s.ends = append(s.pieces, end.Block()), append(s.ends, s.plain.Len())
	}
	f := &feed{s: s}
	r, err := c.Decode(f)
	if err != nil {
		return err
	}
	if _, err := io.Copy(&f.out, r); err != nil {
		return err
	}
	if !bytes.Equal(f.out.Bytes(), s.plain.Bytes()) {
		return fmt.Errorf("got %d bytes other than the %d of the plain stream", f.out.Len(), s.plain.Len())
	}
	return nil
}

// A model makes and checks streams at random.
type model struct {
	*rand.Rand
	texts   *rand.Rand
	codec   Codec
	stamp   uint64
	sets    [2]*set
	streams []*stream
}

// text returns the data of an event, which resembles those before.
func (m *model) text() string {
	n := []int{1, 10, 60, 300, 800, 3000}[m.IntN(6)]
	if m.IntN(60) == 0 {
		n = 40 << 10
	}
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "<li id=%d>%x</li>", m.texts.IntN(5), m.texts.IntN(1<<m.texts.IntN(30)))
	}
	return b.String()[:n]
}

func (m *model) chunk() wire.Chunk { return wire.Event{Data: m.text()}.Chunk() }

func (m *model) append(s *set) {
	m.stamp++
	e := &event{stamp: m.stamp, chunk: m.chunk()}
	e.Init(&s.Coders)
	s.events = append(s.events, e)
}

// open begins a stream, which may resume in each of the sets.
func (m *model) open() {
	s := &stream{state: coding.NewState(m.codec.Coding)}
	s.other(wire.Comment)
	for i, set := range m.sets {
		s.at[i] = len(set.events) - m.IntN(1+min(len(set.events), 10))*m.IntN(2)
		if s.member[i] = m.IntN(3) > 0; s.member[i] {
			set.Join(m.codec.Coding)
		}
	}
	m.streams = append(m.streams, s)
}

func (m *model) leave(s *stream) {
	for i, set := range m.sets {
		if s.member[i] {
			set.Leave(m.codec.Coding)
		}
	}
}

// read sends a stream some of the events that it lacks, in one of the ways of slow
// policies.
func (m *model) read(s *stream, i int) {
	set := m.sets[i]
	if !s.member[i] {
		return
	}
	n := m.IntN(1 + len(set.events) - s.at[i])
	switch m.IntN(12) {
	case 0: // skip
		s.at[i] += n
	case 1: // only some of them, out of order
		for range n / 2 {
			s.event(set.events[s.at[i]+m.IntN(n)])
		}
		s.at[i] += n
	default:
		for _, e := range set.events[s.at[i] : s.at[i]+n] {
			s.event(e)
		}
		s.at[i] += n
	}
}

func (m *model) step() error {
	i := m.IntN(2)
	switch n := m.IntN(20); {
	case n == 0 && len(m.streams) < 12 || len(m.streams) == 0:
		m.open()
	case n == 1:
		j := m.IntN(len(m.streams))
		s := m.streams[j]
		m.streams = append(m.streams[:j], m.streams[j+1:]...)
		m.leave(s)
		return s.check(m.codec)
	case n == 2:
		m.streams[m.IntN(len(m.streams))].other(m.chunk())
	case n == 3:
		m.streams[m.IntN(len(m.streams))].keepAlive()
	case n < 9:
		m.append(m.sets[i])
	default:
		m.read(m.streams[m.IntN(len(m.streams))], i)
	}
	return nil
}

// Property checks that any interleaving of events of two sets, newcomers, resumptions,
// gaps, events out of order, direct events, comments and ends decodes to the plain stream,
// each piece at once: 150 histories of 400 steps, or fewer with -short.
func Property(t *testing.T, c Codec) {
	histories := 150
	if testing.Short() {
		histories = 20
	}
	for seed := range histories {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		n := 0
		if err := newModel(r, c).run(func() bool { n++; return n <= steps }); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, n, err)
		}
	}
}

func newModel(r *rand.Rand, c Codec) *model {
	return &model{Rand: r, texts: rand.New(rand.NewPCG(1, 2)), codec: c, sets: [2]*set{new(set), new(set)}}
}

// run takes steps as long as there are more, and checks the streams.
func (m *model) run(more func() bool) error {
	for more() {
		if err := m.step(); err != nil {
			return err
		}
	}
	for i, s := range m.streams {
		m.leave(s)
		if err := s.check(m.codec); err != nil {
			return fmt.Errorf("stream %d at the end: %w", i, err)
		}
	}
	return nil
}

// Fuzz checks the same for steps that are chosen by bytes.
func Fuzz(f *testing.F, c Codec) {
	f.Add([]byte(nil))
	for seed := range 20 {
		choices := make([]byte, 50<<(seed%6))
		if _, err := rand.NewChaCha8([32]byte{byte(seed)}).Read(choices); err != nil {
			f.Fatal(err)
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		choices := &choices{rest: b[:min(len(b), 2000)]}
		if err := newModel(rand.New(choices), c).run(func() bool { return len(choices.rest) > 0 }); err != nil {
			t.Fatal(err)
		}
	})
}

// Choices are a source of a random generator. Each byte decides one choice; after the last
// one they are arbitrary.
type choices struct {
	rest []byte
	more rand.PCG
}

func (c *choices) Uint64() uint64 {
	if len(c.rest) == 0 {
		return c.more.Uint64()
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return uint64(b) * 0x0101010101010101 // the generator takes the highest bits, or the lowest
}
