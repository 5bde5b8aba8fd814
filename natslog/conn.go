package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
)

// ConnOptions returns the options that a connection should have. Pass them to nats.Connect
// together with your own:
//
//   - The connection reconnects forever, even if there is no server at first, and even if
//     the login was refused: by default two refusals in a row close it for good.
//   - A write fails at once while there is no server; by default it would be kept and
//     sent minutes later.
//   - A silent server is detected after 15 s; by default that takes minutes. Pings are
//     sent every 5 s, and a write may take 5 s.
func ConnOptions() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(5 * time.Second),
	}
}

const (
	requestTimeout = 2 * time.Second // of one request to JetStream, which may get no answer
	attemptTimeout = time.Second     // of one attempt to store a message
	minBackoff     = 20 * time.Millisecond
	maxBackoff     = time.Second
)

// A conn sends requests to JetStream. Every request has its own deadline, because a request
// over a dead link or in the middle of an election gets no answer.
type conn struct {
	nc  *nats.Conn
	api string // prefix of the subjects of requests
}

func newConn(nc *nats.Conn, domain string) conn {
	if domain != "" {
		return conn{nc, "$JS." + domain + ".API."}
	}
	return conn{nc, "$JS.API."}
}

// An apiError is an error response of JetStream.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("natslog: JetStream: %s (%d)", e.Description, e.ErrCode)
}

// full reports whether the stream has no room for the message.
func (e *apiError) full() bool {
	return e.ErrCode == codeStoreFailed && strings.Contains(e.Description, "maximum bytes")
}

// Values of apiError.ErrCode.
const (
	codeNoMessage         = 10037
	codeNameInUse         = 10058
	codeNoStream          = 10059
	codeWrongLast         = 10071
	codeReplicas          = 10074 // there is no cluster
	codeStoreFailed       = 10077
	codeDuplicateInFlight = 10158 // an earlier attempt is still in progress
	codeWrongLastInFlight = 10164
)

func isCode(err error, codes ...int) bool {
	var e *apiError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrCode)
}

// request sends a request once. An error response is returned as an *apiError.
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
		return fmt.Errorf("natslog: %s: %w", subject, c.explain(err))
	}
	return decode(m.Data, out)
}

// explain adds what the server has said to the error of a request that got no answer: a
// request for which the user has no permission gets none, and the server says so to the
// connection.
func (c conn) explain(err error) error {
	if last := c.nc.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server's last error: %w", err, last)
	}
	return err
}

func decode(data []byte, out any) error {
	var failure struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failure); err != nil {
		return fmt.Errorf("natslog: invalid response: %w", err)
	}
	if failure.Error != nil {
		return failure.Error
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("natslog: invalid response: %w", err)
	}
	return nil
}

// finalError marks an error after which nothing is retried.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// retryable reports whether a request that failed may succeed later.
func retryable(err error) bool {
	var e *apiError
	var final finalError
	switch {
	case err == nil, errors.As(err, &final):
		return false
	case errors.As(err, &e):
		return e.Code >= 500 && e.ErrCode != codeReplicas && !e.full() ||
			e.ErrCode == codeNoStream || // another process may be creating it
			e.ErrCode == codeDuplicateInFlight
	}
	return !errors.Is(err, backplane.ErrClosed) && !errors.Is(err, nats.ErrConnectionClosed)
}

// retry calls f until it succeeds or fails with a final error, or the context ends.
func retry(ctx context.Context, f func() error) error {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := f()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrConnectionClosed):
			return fmt.Errorf("%w: %w", backplane.ErrClosed, err)
		case !retryable(err):
			return err
		}
		if ctxErr := sleep(ctx, wait); ctxErr != nil {
			return fmt.Errorf("%w; last failure: %w", ctxErr, err)
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

// publish stores a message with an id and returns its sequence number. It retries, even if
// the outcome of the attempt before is unknown: the server recognizes a repeated message by
// its id. A refusal is returned as an *apiError; then nothing was stored.
//
// The function missing is called when the subject has no listener, which means that the
// stream may have to be created again.
func (c conn) publish(ctx context.Context, m *nats.Msg, missing func(context.Context) error) (uint64, error) {
	unknown := false // an attempt may have been stored
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
			if !retryable(err) {
				if isCode(err, codeWrongLast, codeWrongLastInFlight) {
					return 0, err // an earlier attempt of ours may be the cause: the caller checks
				}
				return 0, fail(err)
			}
			unknown = true
		case errors.Is(err, nats.ErrNoResponders):
			if tries%3 == 0 {
				err = errors.Join(err, missing(ctx)) // the next attempt shows whether it helped
			}
		case errors.Is(err, nats.ErrReconnectBufExceeded): // not sent
		case errors.Is(err, nats.ErrConnectionClosed):
			return 0, fail(fmt.Errorf("%w: %w", backplane.ErrClosed, err))
		case errors.Is(err, nats.ErrMaxPayload):
			return 0, fail(fmt.Errorf("%w: the server's max_payload is %d bytes", backplane.ErrSize, c.nc.MaxPayload()))
		default: // no answer
			err = c.explain(err)
			unknown = true
		}
		if ctxErr := sleep(ctx, wait); ctxErr != nil {
			return 0, fail(fmt.Errorf("%w; last failure: %w", ctxErr, err))
		}
	}
}
