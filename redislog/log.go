package redislog

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // for the scripts
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync/atomic"

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

// Options are the settings of a log. All processes that append to it should use the same.
type Options struct {
	// Space is the prefix of the log's keys, in braces. Applications that share a server
	// need different spaces. "": "sse".
	Space string

	// History and HistoryBytes limit the entries that are kept, and so how far behind a
	// follower may be: by number, 0: 10,000; by size of their data, 0: 64 MiB. A negative
	// value means no limit. The newest entry is always kept.
	History      int
	HistoryBytes int
}

// A Log is a [backplane.Log] on a Redis server. Its methods may be called from
// any goroutine. There is nothing to close.
type Log struct {
	server  server
	options Options
	heard   atomic.Int64 // when a Follow last heard from the server, in Unix nanoseconds
}

var (
	_ backplane.Log     = (*Log)(nil)
	_ backplane.Monitor = (*Log)(nil)
)

// Open returns the log of the given name, and creates it if it does not exist; o may be nil.
// The name may be any 1 to [backplane.MaxKey] bytes. Open retries until the context ends: set
// a deadline if the program should fail rather than wait for a server. The error then
// contains the failure of the last attempt. Open fails at once if the server refuses.
//
// The client remains the caller's: it must outlive the log. After it is closed, all methods
// fail with [backplane.ErrClosed].
func Open(ctx context.Context, client redis.UniversalClient, name string, o *Options) (*Log, error) {
	l := new(Log)
	if o != nil {
		l.options = *o
	}
	l.options.History = cmp.Or(l.options.History, defaultHistory)
	l.options.HistoryBytes = cmp.Or(l.options.HistoryBytes, defaultHistoryBytes)
	if err := l.server.init(client, "log", l.options.Space, name); err != nil {
		return nil, err
	}
	if err := l.server.open(ctx, l.readRequest("newest", 0)); err != nil {
		return nil, err
	}
	return l, nil
}

// Append implements [backplane.Log]. If the server does not answer, Append retries until the
// context ends, but for at most a minute, and then returns [backplane.ErrIndeterminate]. An
// error that wraps none of that package's errors is the server's refusal.
func (l *Log) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if err := backplane.CheckEntry(id, data); err != nil {
		return backplane.Cursor{}, err
	}
	// Long enough that no two ids have the same hash, and shorter than most ids.
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
		return backplane.Cursor{}, fmt.Errorf("%s: %w: invalid reply to Append: %v", l.server.what, backplane.ErrIndeterminate, reply)
	}
	return backplane.CursorOf(seq, id), nil
}

// newNonce returns a nonce for the case that a script creates the log.
func newNonce() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails, since Go 1.24
	return binary.BigEndian.Uint32(b[:])
}
