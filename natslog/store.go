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

// markerTTL is how long the store keeps the marker of a deleted record. A watcher that was
// away for longer sees by the remaining records what was deleted.
const markerTTL = time.Minute

// The headers of JetStream's key-value stores.
const (
	operationHeader = "KV-Operation"
	reasonHeader    = "Nats-Marker-Reason"
	ttlHeader       = "Nats-TTL"
)

// StoreOptions are the settings with which a store is created. An existing store keeps its
// settings.
type StoreOptions struct {
	// Replicas is the number of servers that keep each record, of which a minority may die
	// without a loss; 0: three in a cluster, otherwise one.
	Replicas int

	// Memory makes the servers keep the records in memory instead of on disk. With one
	// replica they are lost when its server stops.
	Memory bool

	// MaxBytes limits the size of the store, which the server reserves; 0: no limit, which
	// some accounts do not allow. In a store that is full, Swap fails: no record is dropped.
	MaxBytes int

	// Domain is the JetStream domain; "": the server's.
	Domain string
}

// A Store is a [backplane.Store] on a JetStream stream, which has the form of a key-value
// bucket: the nats command can display it. Its methods may be called from any goroutine.
// There is nothing to close.
//
// Revisions start from the time at which the store was created, in microseconds since
// 1970, so that they keep growing if the store is deleted and created again.
type Store struct {
	stream

	prefix string // of the subjects
}

var _ backplane.Store = (*Store)(nil)

// OpenStore returns the store of the given name, and creates it if it does not exist; o
// may be nil. It needs nats-server 2.11 or later. Otherwise it is like [Open]. A log and a
// store may have the same name.
func OpenStore(ctx context.Context, nc *nats.Conn, name string, o *StoreOptions) (*Store, error) {
	if o == nil {
		o = &StoreOptions{}
	}
	token, err := streamToken(name)
	if err != nil {
		return nil, err
	}
	s := &Store{prefix: "$KV.sse" + token + "."}
	s.conn = newConn(nc, o.Domain)
	s.config = streamConfig{
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
		FirstSeq:        1, // replaced by the time, see ensure
	}
	if o.MaxBytes > 0 {
		s.config.MaxBytes, s.config.Discard = int64(o.MaxBytes), "new" // never an old record
	}
	return s, s.open(ctx)
}

// Swap implements [backplane.Store]. It waits for the server as [Log.Append] does, for at
// most a minute.
func (s *Store) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if err := backplane.CheckRecord(key, value); err != nil {
		return backplane.Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
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
		return present.record(), err
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
			return backplane.Record{}, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err) // it may have been an earlier attempt of ours
		case by == id:
			return backplane.Record{Key: key, Rev: present.Rev, Value: value}, nil
		case present.Value == nil && old == 0 && present.Rev != expected:
			expected = present.Rev // of the marker of the deletion
			continue
		case present.record().Rev != old:
			return present.record(), backplane.ErrConflict
		}
		// The leader has another message that is not stored yet.
		if err := sleep(ctx, wait); err != nil {
			return backplane.Record{}, err
		}
	}
}

// A present is a record as it is stored: if it was deleted, the revision may be the one of
// the marker.
type present backplane.Record

// record returns the record in the form that callers get.
func (p present) record() backplane.Record {
	if p.Value == nil {
		p.Rev = 0
	}
	return backplane.Record(p)
}

// get returns a record, and the id of the message that wrote it.
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

// valueOf returns a message's value, or nil if the message is a marker of a deletion.
func valueOf(h nats.Header, data []byte) []byte {
	switch {
	case h.Get(operationHeader) != "" && h.Get(operationHeader) != "PUT", h.Get(reasonHeader) != "":
		return nil
	case data == nil:
		return []byte{}
	}
	return data
}
