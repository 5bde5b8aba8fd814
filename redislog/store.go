package redislog

import (
	"context"
	"crypto/rand"
	_ "embed" // for the scripts
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
)

// changesKept is the number of changes that the server keeps. A watcher that is further
// behind reads all records again.
const changesKept = 10_000

//go:embed store.lua
var storeSource string

//go:embed swap.lua
var swapSource string

//go:embed changes.lua
var changesSource string

//go:embed scan.lua
var scanSource string

var (
	swapScript    = redis.NewScript(storeSource + swapSource)
	changesScript = redis.NewScript(storeSource + changesSource)
	scanScript    = redis.NewScript(storeSource + scanSource)
)

// StoreOptions are the settings of a store.
type StoreOptions struct {
	// Space is the prefix of the store's keys, in braces. Applications that share a server
	// need different spaces. "": "sse".
	Space string
}

// A Store is a [backplane.Store] on a Redis server. Its methods may be called from any
// goroutine. There is nothing to close.
//
// Revisions are the server's time in microseconds since 1970, or greater, so that they keep
// growing if the server loses its data.
type Store struct {
	server server
}

var _ backplane.Store = (*Store)(nil)

// OpenStore returns the store of the given name, and creates it if it does not exist; o may
// be nil. Otherwise it is like [Open]. A log and a store may have the same name.
func OpenStore(ctx context.Context, client redis.UniversalClient, name string, o *StoreOptions) (*Store, error) {
	s := new(Store)
	if o == nil {
		o = new(StoreOptions)
	}
	if err := s.server.init(client, "store", o.Space, name); err != nil {
		return nil, err
	}
	if err := s.server.open(ctx, s.request(changesScript, "", "", "", batchBytes)); err != nil {
		return nil, err
	}
	return s, nil
}

// request returns a request with a script that begins with store.lua.
func (s *Store) request(script *redis.Script, args ...any) request {
	key := s.server.key
	return request{
		script,
		[]string{key, key + ":deadlines", key + ":changes"},
		append([]any{key, changesKept, rand.Text()}, args...),
	}
}

// Swap implements [backplane.Store]. It retries as [Log.Append] does, for at most a minute; if
// the server has already made the change in an attempt without an answer, a retry returns the
// outcome of that.
func (s *Store) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if err := backplane.CheckRecord(key, value); err != nil {
		return backplane.Record{}, err
	}
	verb := "set"
	if value == nil {
		verb, value = "delete", []byte{} // an argument must not be nil
	}
	r := s.request(swapScript, key, strconv.FormatUint(old, 10), verb, value,
		backplane.RoundTTL(ttl).Milliseconds(), (2 * callTimeout).Milliseconds())
	// The token of this call identifies it when it is repeated.
	r.keys = append(r.keys, s.server.key+":call:"+r.args[2].(string))
	reply, err := s.server.change(ctx, r)
	if err != nil {
		return backplane.Record{}, err
	}
	fields, _ := reply.([]any)
	if len(fields) == 2 {
		if rev, ok := number(fields[1], 64); ok {
			if verb == "delete" {
				value = nil
			}
			return backplane.Record{Key: key, Rev: rev, Value: value}, nil
		}
	}
	if len(fields) == 3 {
		rev, ok := number(fields[1], 64)
		present, isText := fields[2].(string)
		if ok && isText {
			record := backplane.Record{Key: key, Rev: rev}
			if rev != 0 {
				record.Value = []byte(present)
			}
			return record, fmt.Errorf("%s: %w: revision %d, want %d", s.server.what, backplane.ErrConflict, rev, old)
		}
	}
	return backplane.Record{}, fmt.Errorf("%s: %w: invalid reply to Swap: %v", s.server.what, backplane.ErrIndeterminate, reply)
}
