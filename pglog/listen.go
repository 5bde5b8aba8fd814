package pglog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pingInterval = 10 * time.Second // of a connection that hears nothing
	hearTimeout  = 5 * time.Second  // of the notification that a listener sends to itself
	deafPause    = time.Minute      // before another attempt to listen where nothing is heard
	stopTimeout  = 100 * time.Millisecond

	pollHearing = 2 * time.Second        // between two looks, with notifications
	pollDeaf    = 100 * time.Millisecond // without
)

// A listener has a connection that listens, for all logs and stores that this process follows
// or watches in one schema, by whichever handles.
type listener struct {
	key     listenerKey
	config  *pgx.ConnConfig // nil: it does not listen
	stop    context.CancelFunc
	ended   chan struct{}                         // closed when its goroutine has ended
	hearing atomic.Bool                           // notifications arrive
	subs    map[string]map[*subscription]struct{} // by payload; guarded by listeners.mu
}

type listenerKey struct {
	pool   *pgxpool.Pool
	schema string // also the name of the channel
}

// listeners has those with a subscription, so that no pool is kept.
var listeners struct {
	mu sync.Mutex
	m  map[listenerKey]*listener
}

// A topic is what a log or a store publishes: that it has changed.
type topic struct {
	key     listenerKey
	payload string
	options StoreOptions
}

// topicOf returns the topic of the log or the store of that name.
func topicOf(pool *pgxpool.Pool, name string, o StoreOptions) *topic {
	hash := sha256.Sum256([]byte(name))
	return &topic{
		key:     listenerKey{pool, o.Schema},
		payload: base64.RawURLEncoding.EncodeToString(hash[:12]), // of names that are too long, or not text
		options: o,
	}
}

// A subscription is one call of Follow or Watch.
type subscription struct {
	topic    *topic
	listener *listener
	woken    chan struct{} // there may be something new
	put      chan struct{} // there may be, when a transaction that runs has been committed
	lastPut  atomic.Int64  // when the last one wrote an entry, in ns since 1970
}

// subscribe starts to listen, if nothing in the process does. The caller must call stop.
func (t *topic) subscribe() *subscription {
	s := &subscription{topic: t, woken: make(chan struct{}, 1), put: make(chan struct{}, 1)}
	listeners.mu.Lock()
	defer listeners.mu.Unlock()
	l := listeners.m[t.key]
	if l == nil {
		l = &listener{key: t.key, ended: make(chan struct{}), subs: make(map[string]map[*subscription]struct{})}
		if !t.options.NoListen {
			if l.config = t.options.Listen; l.config == nil {
				l.config = t.key.pool.Config().ConnConfig
			}
		}
		if listeners.m == nil {
			listeners.m = make(map[listenerKey]*listener)
		}
		listeners.m[t.key] = l
		var ctx context.Context
		ctx, l.stop = context.WithCancel(context.Background()) // until the last subscription stops
		go l.run(ctx)
	}
	s.listener = l
	if l.subs[t.payload] == nil {
		l.subs[t.payload] = make(map[*subscription]struct{})
	}
	l.subs[t.payload][s] = struct{}{}
	return s
}

// stop ends the subscription, and the listener after the last one.
func (s *subscription) stop() {
	l, payload := s.listener, s.topic.payload
	listeners.mu.Lock()
	delete(l.subs[payload], s)
	if len(l.subs[payload]) == 0 {
		delete(l.subs, payload)
	}
	last := len(l.subs) == 0
	if last {
		delete(listeners.m, l.key)
		l.stop()
	}
	listeners.mu.Unlock()
	if last {
		sleep(context.Background(), stopTimeout, l.ended) // it may be connecting
	}
}

// interval returns the time between two looks without a notification.
func (s *subscription) interval() time.Duration {
	switch {
	case s.topic.options.Poll > 0:
		return s.topic.options.Poll
	case s.listener.hearing.Load():
		return pollHearing
	}
	return pollDeaf
}

// wake wakes the subscriptions of this process.
func (t *topic) wake() {
	t.each(func(s *subscription) { signal(s.woken) })
}

// notePut tells the subscriptions of this process to look soon.
func (t *topic) notePut() {
	now := time.Now().UnixNano()
	t.each(func(s *subscription) {
		s.lastPut.Store(now)
		signal(s.put)
	})
}

func (t *topic) each(f func(*subscription)) {
	listeners.mu.Lock()
	defer listeners.mu.Unlock()
	if l := listeners.m[t.key]; l != nil {
		for s := range l.subs[t.payload] {
			f(s)
		}
	}
}

// wake wakes the subscriptions to a payload, or all if it is empty.
func (l *listener) wake(payload string) {
	listeners.mu.Lock()
	defer listeners.mu.Unlock()
	for p, subs := range l.subs {
		for s := range subs {
			if p == payload || payload == "" {
				signal(s.woken)
			}
		}
	}
}

// signal sends to a channel with a buffer of one, unless it has something already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run listens until the context ends.
func (l *listener) run(ctx context.Context) {
	defer close(l.ended)
	if l.config == nil {
		return
	}
	warned := false
	for wait := pause; ctx.Err() == nil; wait = min(2*wait, maxPause) {
		began := time.Now()
		err := l.listen(ctx)
		l.hearing.Store(false)
		l.wake("")
		if errors.Is(err, errDeaf) {
			if !warned {
				slog.Warn("pglog: notifications do not arrive, as behind PgBouncer in transaction mode; looking more often instead. "+
					"Set Options.Listen to the server's own address, or NoListen", "address", l.config.Host, "port", l.config.Port)
			}
			warned, wait = true, deafPause
		} else if time.Since(began) > stallTimeout {
			wait = pause
		}
		sleep(ctx, wait, nil)
	}
}

// errDeaf means that a listener does not hear itself.
var errDeaf = errors.New("pglog: no notification arrived")

// listen connects, and listens until that fails or the context ends.
func (l *listener) listen(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, pingInterval)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, l.config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = conn.Close(closing) // nothing is lost
	}()
	if err := conn.PgConn().Exec(connecting, "LISTEN "+pgx.Identifier{l.key.schema}.Sanitize()).Close(); err != nil {
		return err
	}
	l.wake("") // for what came before
	if err := l.hear(ctx, conn); err != nil {
		return err
	}
	l.hearing.Store(true)
	for {
		waiting, cancel := context.WithTimeout(ctx, pingInterval)
		n, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			l.wake(n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case !pgconn.Timeout(err):
			return err
		default:
			pinging, cancel := context.WithTimeout(ctx, requestTimeout)
			err := conn.Ping(pinging)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// hear checks that the connection hears what another one sends.
func (l *listener) hear(ctx context.Context, conn *pgx.Conn) error {
	hearing, cancel := context.WithTimeout(ctx, hearTimeout)
	defer cancel()
	token := "test " + rand.Text()
	if _, err := l.key.pool.Exec(hearing, "SELECT pg_catalog.pg_notify($1::text, $2::text)", pgx.QueryExecModeExec, l.key.schema, token); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(hearing)
		switch {
		case err == nil && n.Payload == token:
			return nil
		case err == nil:
			l.wake(n.Payload)
		case pgconn.Timeout(err) && ctx.Err() == nil:
			return errDeaf
		default:
			return err
		}
	}
}
