package redislog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // for the scripts
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
)

const (
	defaultHistory      = 10_000
	defaultHistoryBytes = 64 << 20
)

//go:embed append.lua
var appendSource string

//go:embed read.lua
var readSource string

var (
	appendScript = redis.NewScript(appendSource)
	readScript   = redis.NewScript(readSource)
)

// Options are how a log is kept. All that append to a log should have the same.
type Options struct {
	// Space is what the keys of the log begin with, in braces: one for each
	// application that shares the server. "": "sse".
	Space string

	// History and HistoryBytes bound the entries that are kept, and so how far
	// behind a follower may be: by count, 0: 10,000; by size of their data, 0:
	// 64 MiB. A negative value is no bound. The newest entry is always kept.
	History      int
	HistoryBytes int
}

// A Log is a [backplane.Log] on a Redis server. Its methods may be called from
// any goroutine. There is nothing to close.
type Log struct {
	server  server
	options Options
}

var _ backplane.Log = (*Log)(nil)

// Open returns the log of that name, and makes it if there is none; o may be nil.
// The name may be anything of 1 to [backplane.MaxKey] bytes. It tries until the
// context is done: give it a deadline, should the program rather fail than wait
// for a server. The error then says what the last attempt failed with. Open fails
// at once if the server refuses.
//
// The client remains the caller's: it must outlive the log. Once it is closed,
// everything fails with [backplane.ErrClosed].
func Open(ctx context.Context, client redis.UniversalClient, name string, o *Options) (*Log, error) {
	l := new(Log)
	if o != nil {
		l.options = *o
	}
	l.options.History = orDefault(l.options.History, defaultHistory)
	l.options.HistoryBytes = orDefault(l.options.HistoryBytes, defaultHistoryBytes)
	if err := l.server.init(client, "log", l.options.Space, name); err != nil {
		return nil, err
	}
	if err := l.server.open(ctx, l.readRequest("newest", 0)); err != nil {
		return nil, err
	}
	return l, nil
}

func orDefault(value, def int) int {
	if value == 0 {
		return def
	}
	return value
}

// Append is [backplane.Log].Append. Should the server not answer, it tries again
// until the context is done, for a minute at most, and then returns
// [backplane.ErrIndeterminate]. An error that wraps none of that package's is the
// server's, which refuses.
func (l *Log) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if err := backplane.CheckEntry(id, data); err != nil {
		return backplane.Cursor{}, err
	}
	// Long enough that no two ids have the same, and shorter than most.
	sum := sha256.Sum256([]byte(id))
	idKey := l.server.key + ":id:" + base64.RawURLEncoding.EncodeToString(sum[:15])
	reply, err := l.server.change(ctx, request{appendScript, []string{l.server.key, idKey}, []any{
		backplane.CursorOf(0, id).Nonce, data, l.options.History, l.options.HistoryBytes,
		idWindow.Milliseconds(), l.server.key, newNonce(),
	}})
	if err != nil {
		return backplane.Cursor{}, err
	}
	text, _ := reply.(string)
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return backplane.Cursor{}, fmt.Errorf("%s: %w: not an answer to Append: %v", l.server.what, backplane.ErrIndeterminate, reply)
	}
	return backplane.CursorOf(seq, id), nil
}

// newNonce returns the nonce of a log that is made by the way.
func newNonce() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails, since Go 1.24
	return binary.BigEndian.Uint32(b[:])
}
