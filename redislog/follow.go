package redislog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"example.org/sse/backplane"
)

// Follow implements [backplane.Log]. It holds a connection of the client for messages, and
// asks once a second without a message.
//
// Follow returns an error of the server if the server refuses the request, and retries after
// any other error.
func (l *Log) Follow(ctx context.Context, after backplane.Cursor, fn func(batch []backplane.Entry, live bool) error) error {
	wake, stop := l.server.listen(ctx)
	defer stop()

	position, nonce := strconv.FormatUint(after.Seq, 10), after.Nonce
	switch after {
	case backplane.Oldest:
		position = "oldest"
	case backplane.Newest:
		position = "newest"
	}
	var p page
	for called := false; ; {
		reply, _, err := l.server.do(ctx, 0, l.readRequest(position, nonce))
		if err != nil {
			return final(ctx, err)
		}
		l.heard.Store(time.Now().UnixNano())
		if err := p.parse(reply); err != nil {
			return fmt.Errorf("%s: after entry %s: %w", l.server.what, position, err)
		}
		position, nonce = strconv.FormatUint(p.at.Seq, 10), p.at.Nonce
		live := p.at.Seq == p.newest
		if len(p.entries) > 0 || live && !called {
			called = called || live
			if err := fn(p.entries, live); err != nil {
				return err
			}
		}
		if live {
			sleep(ctx, pollInterval, wake)
		}
	}
}

// Heard implements [backplane.Monitor].
func (l *Log) Heard() time.Time { return time.Unix(0, l.heard.Load()) }

// final returns the context's error if the context has ended, and err otherwise.
func final(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (l *Log) readRequest(position string, nonce uint32) request {
	return request{readScript, []string{l.server.key}, []any{position, nonce, batchBytes, newNonce()}}
}

// A page is the result of one read.
type page struct {
	entries []backplane.Entry
	at      backplane.Cursor // the last entry, or the position before the first one
	newest  uint64
}

// parse parses a reply of read.lua. It returns ErrGap unless the entries follow each other
// without a hole.
func (p *page) parse(reply any) error {
	clear(p.entries) // the next ones may be a long time away
	p.entries = p.entries[:0]
	fields, _ := reply.([]any)
	if len(fields) != 1 && (len(fields) == 0 || len(fields)%3 != 0) {
		return fmt.Errorf("invalid reply: %v", reply)
	}
	var ok bool
	if p.newest, ok = number(fields[0], 64); !ok {
		return fmt.Errorf("invalid number: %v", fields[0])
	}
	if len(fields) == 1 {
		return fmt.Errorf("%w; the newest entry is %d", backplane.ErrGap, p.newest)
	}
	if p.at, ok = cursor(fields[1], fields[2]); !ok {
		return fmt.Errorf("invalid entry: %v", fields[1])
	}
	for fields = fields[3:]; len(fields) >= 3; fields = fields[3:] {
		c, ok := cursor(fields[0], fields[1])
		data, isText := fields[2].(string)
		if !ok || !isText || c.Seq != p.at.Seq+1 && p.at != backplane.Oldest {
			return fmt.Errorf("%w; entry %d is followed by %v", backplane.ErrGap, p.at.Seq, fields[0])
		}
		p.at = c
		p.entries = append(p.entries, backplane.Entry{Cursor: c, Data: []byte(data)})
	}
	return nil
}

func cursor(seq, nonce any) (backplane.Cursor, bool) {
	s, ok1 := number(seq, 64)
	n, ok2 := number(nonce, 32)
	return backplane.Cursor{Seq: s, Nonce: uint32(n)}, ok1 && ok2 //nolint:gosec // 32 bits
}

func number(field any, bits int) (uint64, bool) {
	text, _ := field.(string)
	n, err := strconv.ParseUint(text, 10, bits)
	return n, err == nil
}
