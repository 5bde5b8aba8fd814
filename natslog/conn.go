package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
)

// ConnOptions are the options that a connection should have, to be given to
// nats.Connect with those of your own:
//
//   - It comes back for ever, also if there is no server at first.
//   - What is written while there is no server fails at once, where it would
//     otherwise be kept and sent minutes later.
//   - A server that is silent is noticed after 15 s, where it would otherwise
//     take minutes: pings are sent every 5 s, and a write may take 5 s.
func ConnOptions() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(5 * time.Second),
	}
}

const (
	requestTimeout = 2 * time.Second // of one request to JetStream, which may go nowhere
	attemptTimeout = time.Second     // of one attempt to store a message
	minBackoff     = 20 * time.Millisecond
	maxBackoff     = time.Second
)

// A conn talks to JetStream. Every request has a deadline of its own: one that
// goes into a dead link, or comes in the middle of an election, is swallowed
// rather than refused.
type conn struct {
	nc  *nats.Conn
	api string // how the subjects of requests begin
}

func newConn(nc *nats.Conn, domain string) conn {
	if domain != "" {
		return conn{nc, "$JS." + domain + ".API."}
	}
	return conn{nc, "$JS.API."}
}

// An apiError is JetStream's answer that it will not do something.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("natslog: JetStream: %s (%d)", e.Description, e.ErrCode)
}

// What apiError.ErrCode can be.
const (
	codeNoMessage         = 10037
	codeNameInUse         = 10058
	codeNoStream          = 10059
	codeWrongLast         = 10071
	codeReplicas          = 10074 // there is no cluster
	codeDuplicateInFlight = 10158 // an earlier attempt is on its way still
	codeWrongLastInFlight = 10164
)

func isCode(err error, codes ...int) bool {
	var e *apiError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrCode)
}

// request makes one request, once. An answer with an error is an *apiError.
func (c conn) request(ctx context.Context, subject string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("natslog: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, c.api+subject, body)
	if err != nil {
		return fmt.Errorf("natslog: %s: %w", subject, err)
	}
	return decode(m.Data, out)
}

func decode(data []byte, out any) error {
	var failure struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failure); err != nil {
		return fmt.Errorf("natslog: an answer that cannot be read: %w", err)
	}
	if failure.Error != nil {
		return failure.Error
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("natslog: an answer that cannot be read: %w", err)
	}
	return nil
}

// finalError marks an error that is not to be tried again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// again reports whether what failed may succeed later.
func again(err error) bool {
	var e *apiError
	var final finalError
	switch {
	case err == nil, errors.As(err, &final):
		return false
	case errors.As(err, &e):
		return e.Code >= 500 && e.ErrCode != codeReplicas ||
			e.ErrCode == codeNoStream || // somebody is making it at this moment
			e.ErrCode == codeDuplicateInFlight
	}
	return !errors.Is(err, backplane.ErrClosed) && !errors.Is(err, nats.ErrConnectionClosed)
}

// retry calls f until it succeeds, fails for good, or the context is done.
func retry(ctx context.Context, f func() error) error {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := f()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrConnectionClosed):
			return fmt.Errorf("%w: %w", backplane.ErrClosed, err)
		case !again(err):
			return err
		}
		if ctxErr := sleep(ctx, wait); ctxErr != nil {
			return fmt.Errorf("%w; the last failure: %w", ctxErr, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish stores a message with an id, and returns its sequence number. It
// tries again, also if it is not known what became of the attempt before: by
// the id the server recognizes what it has. A refusal is an *apiError, and then
// nothing was stored.
//
// Missing is called when nobody listens to the subject, for which the stream
// may have to be made again.
func (c conn) publish(ctx context.Context, m *nats.Msg, missing func(context.Context) error) (uint64, error) {
	unknown := false // there is an attempt that may have been stored
	fail := func(err error) error {
		if unknown {
			return fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err)
		}
		return err
	}
	for wait, tries := minBackoff, 1; ; wait, tries = min(2*wait, maxBackoff), tries+1 {
		if err := ctx.Err(); err != nil {
			return 0, fail(err)
		}
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		answer, err := c.nc.RequestMsgWithContext(attempt, m)
		cancel()
		var ack struct {
			Seq uint64 `json:"seq"`
		}
		if err == nil {
			if err = decode(answer.Data, &ack); err == nil {
				return ack.Seq, nil
			}
		}
		var refusal *apiError
		switch {
		case errors.As(err, &refusal):
			if !again(err) {
				if isCode(err, codeWrongLast, codeWrongLastInFlight) {
					return 0, err // an earlier attempt of ours may be the reason: the caller looks
				}
				return 0, fail(err)
			}
			unknown = true
		case errors.Is(err, nats.ErrNoResponders):
			if tries%3 == 0 {
				err = errors.Join(err, missing(ctx)) // whatever it says, the next attempt shows
			}
		case errors.Is(err, nats.ErrReconnectBufExceeded): // not sent
		case errors.Is(err, nats.ErrConnectionClosed):
			return 0, fail(fmt.Errorf("%w: %w", backplane.ErrClosed, err))
		case errors.Is(err, nats.ErrMaxPayload):
			return 0, fail(fmt.Errorf("%w: the server's max_payload is %d bytes", backplane.ErrSize, c.nc.MaxPayload()))
		default: // no answer
			unknown = true
		}
		if ctxErr := sleep(ctx, wait); ctxErr != nil {
			return 0, fail(fmt.Errorf("%w; the last failure: %w", ctxErr, err))
		}
	}
}
