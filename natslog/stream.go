package natslog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A stream is a JetStream stream and the settings that it should have.
type stream struct {
	conn

	config streamConfig
	heard  atomic.Int64 // when a feed last heard from the server, in Unix nanoseconds
}

// A streamConfig contains the settings that matter here, with the server's names. The
// server has defaults for all others.
type streamConfig struct {
	Name            string        `json:"name"`
	Subjects        []string      `json:"subjects"`
	Retention       string        `json:"retention"`
	Discard         string        `json:"discard"`
	Storage         string        `json:"storage"`
	Replicas        int           `json:"num_replicas"`
	MaxMessages     int64         `json:"max_msgs"`
	MaxBytes        int64         `json:"max_bytes"`
	MaxPerSubject   int64         `json:"max_msgs_per_subject"`
	Duplicates      time.Duration `json:"duplicate_window"`
	DenyDelete      bool          `json:"deny_delete"`
	DenyPurge       bool          `json:"deny_purge"`
	AllowDirect     bool          `json:"allow_direct"` // off: otherwise any server would answer, even one that lags
	AllowRollup     bool          `json:"allow_rollup_hdrs"`
	AllowTTL        bool          `json:"allow_msg_ttl,omitempty"`
	DeleteMarkerTTL time.Duration `json:"subject_delete_marker_ttl,omitempty"`
	FirstSeq        uint64        `json:"first_seq,omitempty"`
}

type streamState struct {
	Messages uint64 `json:"messages"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

type streamInfo struct {
	Config  streamConfig `json:"config"`
	Created time.Time    `json:"created"`
	State   streamState  `json:"state"`
}

// info asks the stream's leader once.
func (s *stream) info(ctx context.Context) (streamInfo, error) {
	var info streamInfo
	err := s.request(ctx, "STREAM.INFO."+s.config.Name, nil, &info)
	return info, err
}

// ensure creates the stream if it does not exist, and returns its state. It tries once.
func (s *stream) ensure(ctx context.Context) (streamInfo, error) {
	info, err := s.info(ctx)
	if isCode(err, codeNoStream) {
		config := s.config
		if config.Replicas == 0 {
			config.Replicas = 1
			if s.nc.ConnectedClusterName() != "" {
				config.Replicas = 3
			}
		}
		if config.FirstSeq > 0 {
			config.FirstSeq = uint64(time.Now().UnixMicro()) //nolint:gosec // after 1970
		}
		err = s.request(ctx, "STREAM.CREATE."+config.Name, config, &info)
		if isCode(err, codeNameInUse) { // another process was faster
			info, err = s.info(ctx)
		}
	}
	if err != nil {
		return info, err
	}
	return info, s.check(info.Config)
}

// check returns an error unless the stream has the settings that the guarantees depend on.
// Other settings are up to the operator, such as the number of entries and of replicas.
func (s *stream) check(is streamConfig) error {
	want := s.config
	isStore := want.MaxPerSubject == 1
	var err error
	for _, tt := range []struct {
		setting string
		ok      bool
	}{
		{fmt.Sprintf("subjects must be %q", want.Subjects), len(is.Subjects) == 1 && is.Subjects[0] == want.Subjects[0]},
		{"retention must be limits", is.Retention == want.Retention},
		{"discard must be old", is.Discard == "old" || isStore},
		{"discard must be new, since there is max_bytes", is.Discard == "new" || !isStore || is.MaxBytes <= 0},
		{fmt.Sprintf("max_msgs_per_subject must be %d", want.MaxPerSubject), is.MaxPerSubject == want.MaxPerSubject},
		{fmt.Sprintf("duplicate_window must be at least %v", want.Duplicates), is.Duplicates >= want.Duplicates},
		{"deny_delete must be on", is.DenyDelete},
		{"deny_purge must be on", is.DenyPurge || !want.DenyPurge},
		{"allow_direct must be off", !is.AllowDirect},
		{"allow_msg_ttl must be on, which needs nats-server 2.11", is.AllowTTL == want.AllowTTL},
		{"subject_delete_marker_ttl must be on, which needs nats-server 2.11", (is.DeleteMarkerTTL > 0) == (want.DeleteMarkerTTL > 0)},
	} {
		if !tt.ok {
			err = errors.Join(err, errors.New(tt.setting))
		}
	}
	if err != nil {
		return finalError{fmt.Errorf("natslog: stream %s has wrong settings: %w", want.Name, err)}
	}
	return nil
}

// staleLeader is how long a leader that was cut off from the others may keep answering for
// the stream: NATS allows 10 s.
const staleLeader = 20 * time.Second

// A doubt is about a stream that ends before an entry that was read from it. Either the
// stream has lost its end, or the server that answers is no longer the leader and does not
// know.
type doubt struct{ since time.Time }

// holds reports whether the latter is still possible.
func (d *doubt) holds(info streamInfo, read uint64) bool {
	switch {
	case info.State.LastSeq >= read:
		d.since = time.Time{}
		return false
	case info.Config.Replicas <= 1: // there is no other server
		return false
	case d.since.IsZero():
		d.since = time.Now()
	}
	return time.Since(d.since) < staleLeader
}

// open creates the stream if it does not exist, and retries until the context ends.
func (s *stream) open(ctx context.Context) error {
	err := retry(ctx, func() error {
		_, err := s.ensure(ctx)
		return err
	})
	if retryable(err) {
		return fmt.Errorf("natslog: stream %s: %w (connection status %v)", s.config.Name, err, s.nc.Status())
	}
	return err
}

// missing creates the stream again if it no longer exists.
func (s *stream) missing(ctx context.Context) error {
	_, err := s.ensure(ctx)
	return err
}

type storedMessage struct {
	Subject string `json:"subject"`
	Seq     uint64 `json:"seq"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
}

// message asks the stream's leader once for a message: by its number or, if seq is 0, for
// the last one of a subject. The returned message has the number 0 if there is none.
func (s *stream) message(ctx context.Context, seq uint64, subject string) (storedMessage, error) {
	var answer struct {
		Message storedMessage `json:"message"`
	}
	err := s.request(ctx, "STREAM.MSG.GET."+s.config.Name, struct {
		Seq  uint64 `json:"seq,omitempty"`
		Last string `json:"last_by_subj,omitempty"`
	}{seq, subject}, &answer)
	if isCode(err, codeNoMessage) {
		return storedMessage{}, nil
	}
	return answer.Message, err
}
