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
	heartbeat    = time.Second // of the server, while there is nothing to deliver
	silence      = 5 * heartbeat / 2
	pullExpires  = 10 * time.Second
	pullMessages = 512
	pullBytes    = 4 << 20
	inactive     = 30 * time.Second // after which the server forgets a consumer
)

// errAgain asks for a new consumer.
var errAgain = errors.New("natslog: the consumer is of no use any more")

// A feed is what of a stream one follower gets, by a consumer of its own: a
// plain one, without acknowledgements, which is thrown away whenever something
// is odd. The server does not always say so itself: a consumer can be alive,
// and silent.
type feed struct {
	*stream

	// begin is called before each consumer is made, and says where it begins and
	// how far the stream reaches, by its leader's word.
	begin func(ctx context.Context) (span, error)

	// handle gets what came, in order. With live there is no more for now; the
	// first time, that is the end that begin has told, or later. Its error
	// errAgain asks for a new consumer.
	handle func(messages []message, live bool) error
}

// A span of a stream.
type span struct {
	next uint64 // number of the first message that is wanted
	end  uint64 // of the last one that there is
	last uint64 // of the last one that there was
}

type message struct {
	*nats.Msg

	seq uint64
}

// run follows the stream until the context is done or a callback fails for good.
func (f *feed) run(ctx context.Context) error {
	wait := minBackoff
	var final finalError
	for {
		moved, err := f.consume(ctx)
		switch {
		case errors.As(err, &final): // of fn, perhaps, which has ended the context as well
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

// A consumer is one that delivers to f, and what is known of it.
type consumer struct {
	f      *feed
	name   string
	inbox  string
	ch     chan *nats.Msg
	pulls  int    // so many were made; each has an inbox of its own
	pulled int    // messages that the server may send before it is asked again
	count  uint64 // messages delivered
	span          // next moves on
	live   bool   // handle was told so
	heard  time.Time
	before uint64 // next, when last checked
	stuck  int    // checks that found messages which we did not get
}

// consume makes a consumer and follows it for as long as it is good. It reports
// whether there was anything from it.
func (f *feed) consume(ctx context.Context) (moved bool, err error) {
	span, err := f.begin(ctx)
	if err != nil {
		return false, err
	}
	c := &consumer{
		f: f, name: "sse" + rand.Text(), inbox: f.nc.NewInbox(),
		ch:   make(chan *nats.Msg, 4*pullMessages), // no more than two pulls, heartbeats, and answers
		span: span,
	}
	if c.next > c.end {
		c.nowLive()
		if err := f.handle(nil, true); err != nil {
			return false, err
		}
	}
	sub, err := f.nc.ChanSubscribe(c.inbox+".*", c.ch)
	if err != nil {
		return false, fmt.Errorf("natslog: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is gone, then, and the subscription too
	if err := c.create(ctx); err != nil {
		return false, err
	}
	defer f.nc.Publish(f.api+"CONSUMER.DELETE."+f.config.Name+"."+c.name, nil) //nolint:errcheck // it goes by itself, only later
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

// loop passes on what the consumer delivers.
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
		if len(batch) > 0 { // what came before a failure is good
			if err := c.f.handle(batch, live); err != nil {
				return err
			}
			clear(batch)
			c.heard = time.Now() // it may have taken a while, in which we did not listen
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

// take adds to the batch what is there: m, and whatever has come with it.
func (c *consumer) take(batch []message, m *nats.Msg) (_ []message, live bool, err error) {
	for {
		c.heard = time.Now()
		status := m.Header.Get("Status")
		switch {
		case m.Subject == c.inbox+".info":
			err = c.compare(m.Data)
		case status != "" && len(m.Data) == 0:
			if m.Subject == c.pullInbox() { // not of the one before
				err = c.status(status, m.Header.Get("Description"))
			}
		default:
			var meta *nats.MsgMetadata
			if meta, err = m.Metadata(); err != nil {
				err = errAgain
				break
			}
			c.pulled--
			c.count++
			if meta.Sequence.Consumer != c.count { // one was lost on the way
				err = errAgain
				break
			}
			seq := meta.Sequence.Stream
			c.next = max(c.next, seq+1)
			batch = append(batch, message{m, seq})
			live = meta.NumPending == 0 && (c.live || seq >= c.end)
			if live {
				c.nowLive()
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

// nowLive notes that there is nothing that was not delivered.
func (c *consumer) nowLive() {
	c.live = true
	c.next = max(c.next, c.last+1) // what is missing at the end has gone
}

// status is what the server says about a pull.
func (c *consumer) status(code, description string) error {
	switch {
	case code == "100": // a heartbeat
	case code == "408", code == "409" && (description == "Batch Completed" || description == "Message Size Exceeds MaxBytes"):
		c.pulled = 0 // it is over
	default:
		return errAgain
	}
	return nil
}

// check is called with every heartbeat that there should be.
func (c *consumer) check() error {
	switch {
	case len(c.ch) > 0: // we are late ourselves
		return nil
	case c.f.nc.IsClosed(), time.Since(c.heard) > silence:
		return errAgain
	case c.next != c.before: // it moves
		c.before, c.stuck = c.next, 0
		return nil
	}
	// The answer comes with the messages: nobody waits for it.
	if err := c.f.nc.PublishRequest(c.f.api+"STREAM.INFO."+c.f.config.Name, c.inbox+".info", nil); err != nil {
		return fmt.Errorf("natslog: %w", err)
	}
	return nil
}

// compare looks whether the leader has messages that the consumer does not
// deliver, or has lost some that it has delivered.
func (c *consumer) compare(answer []byte) error {
	var info streamInfo
	if err := decode(answer, &info); err != nil {
		if isCode(err, codeNoStream) {
			return errAgain
		}
		return nil // an election, most likely
	}
	last := info.State.LastSeq
	switch {
	case last+1 != c.next, !c.live:
		if c.stuck++; c.stuck >= 2 {
			return errAgain
		}
	default:
		c.stuck = 0
	}
	return nil
}
