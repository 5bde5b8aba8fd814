package natslog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
)

const (
	heartbeat    = time.Second // sent by the server while there is nothing to deliver
	silence      = 5 * heartbeat / 2
	pullExpires  = 10 * time.Second
	pullMessages = 512
	pullBytes    = 4 << 20
	inactive     = 30 * time.Second // after which the server deletes a consumer
)

// errNewConsumer asks for a new consumer.
var errNewConsumer = errors.New("natslog: consumer is stale")

// A feed delivers a stream to one follower, through a consumer of its own: a simple one,
// without acknowledgements, which is replaced whenever something looks wrong. The server
// does not always report that: a consumer can be alive and silent.
type feed struct {
	*stream

	// begin is called before each consumer is created, and returns where the consumer
	// starts and where the stream ends, as its leader reports.
	begin func(ctx context.Context) (span, error)

	// handle gets messages in order. The argument live reports that there are no more for
	// now; the first time, that is the end that begin returned, or later. If handle
	// returns errNewConsumer, a new consumer is created.
	handle func(messages []message, live bool) error
}

// A span is a part of a stream.
type span struct {
	next uint64 // number of the first message to deliver
	end  uint64 // number of the last message that is stored
	last uint64 // number of the last message that ever was
}

type message struct {
	*nats.Msg

	seq uint64
}

// run follows the stream until the context ends or a callback returns a final error.
func (f *feed) run(ctx context.Context) error {
	wait := minBackoff
	var final finalError
	for {
		moved, err := f.consume(ctx)
		switch {
		case errors.As(err, &final): // perhaps from fn, which may have ended the context as well
			return final.error
		case ctx.Err() != nil:
			return ctx.Err()
		case f.nc.IsClosed():
			return fmt.Errorf("%w: %w", backplane.ErrClosed, nats.ErrConnectionClosed)
		}
		if moved {
			wait = minBackoff
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, maxBackoff)
	}
}

// A consumer is the state of a consumer that delivers to f.
type consumer struct {
	f      *feed
	name   string
	inbox  string
	ch     chan *nats.Msg
	pulls  int    // number of pulls; each has an inbox of its own
	pulled int    // messages that the server may send before the next pull
	count  uint64 // messages delivered
	span          // next moves on with each message
	live   bool   // handle was called with live
	heard  time.Time
	before uint64 // next at the last check
	stuck  int    // number of checks that found messages which were not delivered
}

// consume creates a consumer and follows it as long as it works. It reports whether the
// consumer delivered any message.
func (f *feed) consume(ctx context.Context) (moved bool, err error) {
	span, err := f.begin(ctx)
	if err != nil {
		return false, err
	}
	f.heard.Store(time.Now().UnixNano())
	c := &consumer{
		f: f, name: "sse" + rand.Text(), inbox: f.nc.NewInbox(),
		ch:   make(chan *nats.Msg, 4*pullMessages), // enough for two pulls, heartbeats, and responses
		span: span,
	}
	if c.next > c.end {
		c.setLive()
		if err := f.handle(nil, true); err != nil {
			return false, err
		}
	}
	sub, err := f.nc.ChanSubscribe(c.inbox+".*", c.ch)
	if err != nil {
		return false, fmt.Errorf("natslog: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // if it fails, connection and subscription are gone
	if err := c.create(ctx); err != nil {
		return false, err
	}
	defer f.nc.Publish(f.api+"CONSUMER.DELETE."+f.config.Name+"."+c.name, nil) //nolint:errcheck // the server deletes it by itself, only later
	err = c.loop(ctx)
	return c.count > 0, err
}

func (c *consumer) create(ctx context.Context) error {
	config := map[string]any{
		"name": c.name, "ack_policy": "none", "replay_policy": "instant",
		"deliver_policy": "by_start_sequence", "opt_start_seq": max(c.next, 1),
		"num_replicas": 1, "mem_storage": true, "inactive_threshold": inactive,
	}
	name := c.f.config.Name
	return c.f.request(ctx, "CONSUMER.CREATE."+name+"."+c.name,
		map[string]any{"stream_name": name, "config": config, "action": "create"}, &struct{}{})
}

// loop passes what the consumer delivers to handle.
func (c *consumer) loop(ctx context.Context) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	c.heard = time.Now()
	var batch []message
	for {
		if c.pulled <= 0 {
			if err := c.pull(); err != nil {
				return err
			}
		}
		var live bool
		var err error
		select {
		case m := <-c.ch:
			batch, live, err = c.take(batch[:0], m)
		case <-tick.C:
			if err := c.check(); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		if len(batch) > 0 { // messages before a failure are valid
			if err := c.f.handle(batch, live); err != nil {
				return err
			}
			clear(batch)
			c.heard = time.Now() // handle may have taken long, and nothing was received meanwhile
		}
		if err != nil {
			return err
		}
	}
}

// pull asks for more messages.
func (c *consumer) pull() error {
	body, err := json.Marshal(map[string]any{
		"batch": pullMessages, "max_bytes": pullBytes, "expires": pullExpires, "idle_heartbeat": heartbeat,
	})
	if err != nil {
		return fmt.Errorf("natslog: %w", err)
	}
	c.pulled = pullMessages
	c.pulls++
	if err := c.f.nc.PublishRequest(c.f.api+"CONSUMER.MSG.NEXT."+c.f.config.Name+"."+c.name, c.pullInbox(), body); err != nil {
		return fmt.Errorf("natslog: %w", err)
	}
	return nil
}

func (c *consumer) pullInbox() string { return c.inbox + "." + strconv.Itoa(c.pulls) }

// take adds to the batch m and all messages that have already arrived.
func (c *consumer) take(batch []message, m *nats.Msg) (_ []message, live bool, err error) {
	for {
		c.heard = time.Now()
		c.f.heard.Store(c.heard.UnixNano())
		status := m.Header.Get("Status")
		switch {
		case m.Subject == c.inbox+".info":
			err = c.compare(m.Data)
		case status != "" && len(m.Data) == 0:
			if m.Subject == c.pullInbox() { // not the previous pull's
				err = c.status(status, m.Header.Get("Description"))
			}
		default:
			var meta *nats.MsgMetadata
			if meta, err = m.Metadata(); err != nil {
				err = errNewConsumer
				break
			}
			c.pulled--
			c.count++
			if meta.Sequence.Consumer != c.count { // a message was lost
				err = errNewConsumer
				break
			}
			seq := meta.Sequence.Stream
			c.next = max(c.next, seq+1)
			batch = append(batch, message{m, seq})
			live = meta.NumPending == 0 && (c.live || seq >= c.end)
			if live {
				c.setLive()
			}
		}
		if err != nil || live || len(batch) >= pullMessages {
			return batch, live, err
		}
		select {
		case m = <-c.ch:
		default:
			return batch, live, nil
		}
	}
}

// setLive records that everything was delivered.
func (c *consumer) setLive() {
	c.live = true
	c.next = max(c.next, c.last+1) // missing messages at the end were deleted
}

// status handles a status message of the server about a pull.
func (c *consumer) status(code, description string) error {
	switch {
	case code == "100": // a heartbeat
	case code == "408", code == "409" && (description == "Batch Completed" || description == "Message Size Exceeds MaxBytes"):
		c.pulled = 0 // the pull has ended
	default:
		return errNewConsumer
	}
	return nil
}

// check is called once per heartbeat interval.
func (c *consumer) check() error {
	switch {
	case len(c.ch) > 0: // this process is late itself
		return nil
	case c.f.nc.IsClosed(), time.Since(c.heard) > silence:
		return errNewConsumer
	case c.next != c.before: // it makes progress
		c.before, c.stuck = c.next, 0
		return nil
	}
	// The response arrives with the messages: nothing waits for it.
	if err := c.f.nc.PublishRequest(c.f.api+"STREAM.INFO."+c.f.config.Name, c.inbox+".info", nil); err != nil {
		return fmt.Errorf("natslog: %w", err)
	}
	return nil
}

// compare checks whether the leader has messages that the consumer does not deliver, or
// has lost messages that the consumer delivered.
func (c *consumer) compare(answer []byte) error {
	var info streamInfo
	if err := decode(answer, &info); err != nil {
		if isCode(err, codeNoStream) {
			return errNewConsumer
		}
		return nil // probably an election
	}
	last := info.State.LastSeq
	switch {
	case last+1 != c.next, !c.live:
		if c.stuck++; c.stuck >= 2 {
			return errNewConsumer
		}
	default:
		c.stuck = 0
	}
	return nil
}
