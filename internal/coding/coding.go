package coding

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Format is a content coding as a stream's pieces need it. Each piece is such that a
// decoder that has got it puts out all of its content at once. Its methods may be
// called by any goroutine.
type Format interface {
	// Name is the coding's name in the headers Accept-Encoding and Content-Encoding.
	Name() string

	// Window is how many bytes before itself a piece may refer to, negative if to
	// everything since its compressor began.
	Window() int64

	// Sets is for how many sets of a process there may be a compressor at a time.
	Sets() int

	// NewCompressor returns a compressor.
	NewCompressor() Compressor

	// Head returns what a stream begins with.
	Head() []byte

	// Leave returns what a stream is sent after a compressor's pieces, before anything
	// that is not the next piece.
	Leave() []byte

	// Tail returns what ends a stream, of whose content it gets the CRC-32 and the size.
	Tail(sum, size uint32) []byte

	// AppendStored appends a piece with the content as it is.
	AppendStored(dst, content []byte) []byte
}

// A Compressor makes pieces, of which each may refer to those before.
type Compressor interface {
	// Reset begins again: the next piece refers to nothing.
	Reset()

	// Append appends the piece of the content.
	Append(dst, content []byte) []byte
}

// A Coding is a content coding. The zero value is none.
type Coding struct{ kind *kind }

// A kind is a format, with its compressors.
type kind struct {
	Format

	idle sync.Pool       // of Compressors
	work [4]sync.Mutex   // for pieces that are compressed alone: no more at a time
	turn atomic.Uint32   // in work
	sets setsCompressors // those that sets have
}

// New returns the coding of a format. Two calls return different codings.
func New(f Format) Coding { return Coding{&kind{Format: f}} }

// IsNone reports whether it is no coding.
func (c Coding) IsNone() bool { return c.kind == nil }

// String returns the coding's name, "identity" for none.
func (c Coding) String() string {
	if c.IsNone() {
		return "identity"
	}
	return c.kind.Name()
}

// get returns a compressor that begins.
func (k *kind) get() Compressor {
	if c, ok := k.idle.Get().(Compressor); ok {
		c.Reset()
		return c
	}
	return k.NewCompressor()
}

// smallContent is the size below which a piece of its own is not compressed: it would
// hardly be smaller.
const smallContent = 200

// alone returns the piece that refers to nothing before itself.
func (k *kind) alone(content []byte) []byte {
	stored := func() []byte { return k.AppendStored(nil, content) }
	if len(content) < smallContent {
		return stored()
	}
	mu := &k.work[k.turn.Add(1)%uint32(len(k.work))]
	mu.Lock()
	defer mu.Unlock()
	c := k.get()
	defer k.idle.Put(c)
	piece := append(c.Append(nil, content), k.Leave()...)
	if len(piece) >= len(content) {
		return stored()
	}
	return slices.Clip(piece)
}
