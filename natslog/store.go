package natslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
)

// markerTTL is how long the store says of a record that it is gone. A watcher
// that was away for longer finds out by what is left.
const markerTTL = time.Minute

// The headers of JetStream's key-value stores.
const (
	operationHeader = "KV-Operation"
	reasonHeader    = "Nats-Marker-Reason"
	ttlHeader       = "Nats-TTL"
)

// StoreOptions are the settings that a store is made with. One that is there
// already is left as it is.
type StoreOptions struct {
	// Replicas is how many servers keep each record, of which a minority may die
	// without a loss; 0: three in a cluster, else one.
	Replicas int

	// Memory has the servers keep the records in memory instead of on disk. With
	// one replica they are gone when its server stops.
	Memory bool

	// Domain is the JetStream domain; "": that of the server.
	Domain string
}

// A Store is a [backplane.Store] on a stream of JetStream's, which has the form
// of a key-value store's: the nats command can look at it. Its methods may be
// called from any goroutine. There is nothing to close.
//
// Revisions begin with the time at which the store was made, in microseconds
// since 1970, so that they go on growing should it be deleted and made again.
type Store struct {
	stream

	prefix string // of the subjects
}

var _ backplane.Store = (*Store)(nil)

// OpenStore returns the store of that name, and makes it if there is none; o
// may be nil. It needs nats-server 2.11 or later. All else is as with [Open];
// logs and stores do not share their names.
func OpenStore(ctx context.Context, nc *nats.Conn, name string, o *StoreOptions) (*Store, error) {
	if o == nil {
		o = &StoreOptions{}
	}
	token, err := token(name)
	if err != nil {
		return nil, err
	}
	s := &Store{prefix: "$KV.sse" + token + "."}
	s.stream = stream{newConn(nc, o.Domain), streamConfig{
		Name:            "KV_sse" + token,
		Subjects:        []string{s.prefix + ">"},
		Retention:       "limits",
		Discard:         "old",
		Storage:         storage(o.Memory),
		Replicas:        o.Replicas,
		MaxMessages:     -1,
		MaxBytes:        -1,
		MaxPerSubject:   1,
		DenyDelete:      true,
		AllowRollup:     true,
		AllowTTL:        true,
		DeleteMarkerTTL: markerTTL,
		Duplicates:      idWindow,
		FirstSeq:        1, // the time, see ensure
	}}
	return s, s.open(ctx)
}

// Swap is [backplane.Store].Swap. It waits for the server as [Log.Append] does,
// and returns an error after a minute at the latest.
func (s *Store) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if err := backplane.CheckRecord(key, value); err != nil {
		return backplane.Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	r, err := s.swap(ctx, key, old, value, backplane.RoundTTL(ttl))
	if err != nil {
		return r, fmt.Errorf("natslog: swap in %s: %w", s.config.Name, err)
	}
	return r, nil
}

func (s *Store) swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if value == nil && old == 0 {
		present, _, err := s.get(ctx, key)
		if err == nil && present.Value != nil {
			err = backplane.ErrConflict
		}
		return present.asKnown(), err
	}
	id := rand.Text()
	m := &nats.Msg{Subject: s.prefix + escape(key), Data: value, Header: nats.Header{
		nats.MsgIdHdr:          {id},
		nats.ExpectedStreamHdr: {s.config.Name},
	}}
	switch {
	case value == nil:
		m.Header[operationHeader] = []string{"PURGE"}
		m.Header[nats.MsgRollup] = []string{nats.MsgRollupSubject}
		ttl = markerTTL
		fallthrough
	case ttl > 0:
		m.Header[ttlHeader] = []string{ttl.String()}
	}
	expected := old
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		m.Header[nats.ExpectedLastSubjSeqHdr] = []string{fmt.Sprint(expected)}
		seq, err := s.publish(ctx, m, s.missing)
		if err == nil {
			return backplane.Record{Key: key, Rev: seq, Value: value}, nil
		}
		if !isCode(err, codeWrongLast, codeWrongLastInFlight) {
			return backplane.Record{}, err
		}
		present, by, err := s.get(ctx, key)
		switch {
		case err != nil:
			return backplane.Record{}, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err) // was it an earlier attempt of ours?
		case by == id:
			return backplane.Record{Key: key, Rev: present.Rev, Value: value}, nil
		case present.Value == nil && old == 0 && present.Rev != expected:
			expected = present.Rev // of what says that it is gone
			continue
		case present.asKnown().Rev != old:
			return present.asKnown(), backplane.ErrConflict
		}
		// The leader has just seen another one that is not stored yet.
		if err := sleep(ctx, wait); err != nil {
			return backplane.Record{}, err
		}
	}
}

// A present is a record as it is stored: if it is gone, the revision may be that
// of the message that says so.
type present backplane.Record

// asKnown returns the record as it is told to callers.
func (p present) asKnown() backplane.Record {
	if p.Value == nil {
		p.Rev = 0
	}
	return backplane.Record(p)
}

// get returns a record, and the id of the message that made it what it is.
func (s *Store) get(ctx context.Context, key string) (_ present, id string, err error) {
	var m storedMessage
	err = retry(ctx, func() error {
		var err error
		m, err = s.message(ctx, 0, s.prefix+escape(key))
		if isCode(err, codeNoStream) {
			err = errors.Join(err, s.missing(ctx))
		}
		return err
	})
	h := parseHeader(m.Header)
	r := present{Key: key, Rev: m.Seq}
	if m.Seq != 0 {
		r.Value = valueOf(h, m.Data)
	}
	return r, h.Get(nats.MsgIdHdr), err
}

// valueOf returns a message's value, nil if it says that there is none.
func valueOf(h nats.Header, data []byte) []byte {
	switch {
	case h.Get(operationHeader) != "" && h.Get(operationHeader) != "PUT", h.Get(reasonHeader) != "":
		return nil
	case data == nil:
		return []byte{}
	}
	return data
}
