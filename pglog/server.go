package pglog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
)

const (
	requestTimeout = 2 * time.Second       // for one attempt
	pause          = 20 * time.Millisecond // before the second attempt; doubled before each further one
	maxPause       = time.Second
	stallTimeout   = 10 * time.Second // without an answer, before that is logged

	// callTimeout limits the calls that change something. The schema recognizes ids for
	// three minutes: for two from the first call on, of which the last may take so long.
	callTimeout = time.Minute

	batchRows  = 512
	batchBytes = 1 << 20 // requested per read, more than an entry or a record has
)

// A server is the common part of a Log and a Store: the caller's pool, and the schema.
type server struct {
	pool   *pgxpool.Pool
	what   string // prefix of errors
	name   []byte // of the log or the store
	schema string
	opener string // the statement that finds or makes it

	id       atomic.Int32 // of the log or the store; another one once it has been made again
	explicit atomic.Bool  // the connections' defaults do not do: statements come with settings
	notifier notifier
	*topic
}

// init sets the fields for the log or the store of the given name.
func (s *server) init(pool *pgxpool.Pool, kind, name string, o StoreOptions) error {
	s.pool = pool
	s.what = fmt.Sprintf("pglog: %s %q", kind, name)
	s.name = []byte(name)
	o.Schema = cmp.Or(o.Schema, defaultSchema)
	s.schema = o.Schema
	switch {
	case pool == nil:
		return errors.New("pglog: no pool")
	case name == "" || len(name) > backplane.MaxKey:
		return fmt.Errorf("%s: %w: its name must have 1 to %d bytes", s.what, backplane.ErrSize, backplane.MaxKey)
	case len(s.schema) > maxSchema || strings.Contains(s.schema, "\x00"):
		return fmt.Errorf("%s: the name of schema %q must have 1 to %d bytes, and no NUL", s.what, s.schema, maxSchema)
	}
	s.opener = s.sql("SELECT pglog.open_" + kind + "1($1)")
	s.notifier.server = s
	s.topic = topicOf(pool, kind+" "+name, o)
	return nil
}

// maxSchema is how many bytes an identifier of PostgreSQL may have.
const maxSchema = 63

// sql returns a statement for the schema of the options.
func (s *server) sql(statement string) string { return inSchema(statement, s.schema) }

// open checks the server and the schema, which it makes if it does not exist, and finds or
// makes the log or the store.
func (s *server) open(ctx context.Context) error {
	_, err := s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if err := checkVersion(conn); err != nil {
			return err
		}
		err := s.exec(ctx, conn, s.sql("SELECT pglog.version1()"))
		if isCode(err, "3F000", "42883") { // no schema, or no function
			if err = conn.PgConn().Exec(ctx, setTimeout+";"+Schema(s.schema)).Close(); err != nil {
				err = fmt.Errorf("the schema %s does not exist, and cannot be made: run the statements of pglog.Schema as a user who may: %w", s.schema, err)
			}
		}
		if err != nil {
			return err
		}
		return s.find(ctx, conn)
	})
	return err
}

// oldestVersion is the oldest major version of PostgreSQL that works.
const oldestVersion = 14

func checkVersion(conn *pgx.Conn) error {
	version := conn.PgConn().ParameterStatus("server_version")
	var major int
	if _, err := fmt.Sscanf(version, "%d", &major); err == nil && major < oldestVersion {
		return finalError{fmt.Errorf("the server is PostgreSQL %s; %d or later is needed", version, oldestVersion)}
	}
	return nil
}

// find finds the log or the store by its name, and makes it if it does not exist.
func (s *server) find(ctx context.Context, conn *pgx.Conn) error {
	var id int32
	err := s.query(ctx, conn, func(row pgx.CollectableRow) error { return row.Scan(&id) }, s.opener, s.name)
	if err == nil {
		s.id.Store(id)
	}
	return err
}

// do calls f with a connection of the pool until it succeeds, or fails with an error that
// would come again, or the context ends. f is given two seconds each time. If it fails,
// unknown reports whether an attempt may have changed something.
func (s *server) do(ctx context.Context, f func(context.Context, *pgx.Conn) error) (unknown bool, err error) {
	var stalled stall
	for wait := pause; ; wait = min(2*wait, maxPause) {
		if err := ctx.Err(); err != nil {
			return unknown, err
		}
		var sent bool
		sent, err = s.attempt(ctx, f)
		switch {
		case err == nil:
			stalled.over(s.what)
			return false, nil
		case refused(err):
			return unknown, s.explain(err)
		}
		unknown = unknown || sent && !rolledBack(err)
		stalled.note(s.what, err)
		if sleep(ctx, wait, nil); ctx.Err() != nil {
			return unknown, fmt.Errorf("%s: %w: %w", s.what, ctx.Err(), err)
		}
	}
}

// rolledBack reports whether an error is that of a statement, which has changed nothing.
func rolledBack(err error) bool {
	var e *pgconn.PgError
	return errors.Is(err, errAgain) || errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
}

// attempt calls f once. sent reports whether it did: without a connection nothing has
// happened.
func (s *server) attempt(ctx context.Context, f func(context.Context, *pgx.Conn) error) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		if stat := s.pool.Stat(); stat.AcquiredConns() == stat.MaxConns() {
			err = fmt.Errorf("all %d connections of the pool are in use: %w", stat.MaxConns(), err)
		}
		return false, err
	}
	defer conn.Release()
	explicit := s.explicit.Load()
	err = f(ctx, conn.Conn())
	switch {
	case isCode(err, codeMissing):
		err = s.find(ctx, conn.Conn()) // others may have made it again
		if err == nil {
			err = errAgain
		}
	case isCode(err, "25001", "0A000") && !explicit: // the isolation level; a replica refuses serializable
		s.explicit.Store(true)
		err = errAgain
	case isCode(err, "57014"): // the statement_timeout
		s.explicit.Store(true)
	}
	return true, err
}

// errAgain means that the next attempt will be another one.
var errAgain = errors.New("the log or the store has been made again")

// A finalError is not followed by another attempt.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// exec runs a statement whose result does not matter.
func (s *server) exec(ctx context.Context, conn *pgx.Conn, sql string, args ...any) error {
	return s.query(ctx, conn, func(pgx.CollectableRow) error { return nil }, sql, args...)
}

// setTimeout gives the statements of a transaction as much time as an attempt has. In less,
// those that have many entries to number would start from the beginning each time.
const setTimeout = "SET LOCAL statement_timeout = '2s'"

// query runs a statement in a transaction of its own, in one round trip, and calls scan with
// each row. It names the types of its parameters and so needs no prepared statement, which
// poolers may not support. A nil buffer would make an empty value null.
func (s *server) query(ctx context.Context, conn *pgx.Conn, scan func(pgx.CollectableRow) error, sql string, args ...any) error {
	types := conn.TypeMap()
	values, oids, formats := make([][]byte, len(args)), make([]uint32, len(args)), make([]int16, len(args))
	for i, arg := range args {
		oids[i], formats[i] = oidOf(arg), pgtype.BinaryFormatCode
		var err error
		if values[i], err = types.Encode(oids[i], pgtype.BinaryFormatCode, arg, []byte{}); err != nil {
			return finalError{err}
		}
	}
	binary := []int16{pgtype.BinaryFormatCode}
	if !s.explicit.Load() {
		return collect(types, conn.PgConn().ExecParams(ctx, sql, values, oids, formats, binary), scan)
	}
	p := conn.PgConn().StartPipeline(ctx)
	p.SendQueryParams("BEGIN ISOLATION LEVEL READ COMMITTED", nil, nil, nil, nil)
	p.SendQueryParams(setTimeout, nil, nil, nil, nil)
	p.SendQueryParams(sql, values, oids, formats, binary)
	p.SendQueryParams("COMMIT", nil, nil, nil, nil)
	err := p.Sync()
	for i := 0; i < 4 && err == nil; i++ {
		var results any
		if results, err = p.GetResults(); err == nil {
			rr, ok := results.(*pgconn.ResultReader)
			if !ok {
				err = fmt.Errorf("invalid reply: %T", results)
			} else if i == 2 {
				err = collect(types, rr, scan)
			} else {
				_, err = rr.Close()
			}
		}
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	return err
}

// collect calls scan with each row of a result.
func collect(types *pgtype.Map, result *pgconn.ResultReader, scan func(pgx.CollectableRow) error) error {
	rows := pgx.RowsFromResultReader(types, result)
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return finalError{err}
		}
	}
	return rows.Err()
}

// oidOf returns the type of a parameter.
func oidOf(arg any) uint32 {
	switch arg.(type) {
	case int32:
		return pgtype.Int4OID
	case int64, *int64:
		return pgtype.Int8OID
	case bool:
		return pgtype.BoolOID
	case []byte:
		return pgtype.ByteaOID
	case [][]byte:
		return pgtype.ByteaArrayOID
	case []int64:
		return pgtype.Int8ArrayOID
	case []pgtype.UUID:
		return pgtype.UUIDArrayOID
	}
	return pgtype.TextOID
}

// codeMissing is the schema's own code: the log or the store does not exist.
const codeMissing = "SSE01"

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// refused reports whether the server, or the pool, would fail again in the same way.
func refused(err error) bool {
	var final finalError
	if errors.As(err, &final) || closed(err) {
		return true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	// Data, constraints, authorization, syntax or access; the database, or the schema, does
	// not exist; the function is wrong.
	switch e.Code[:min(2, len(e.Code))] {
	case "22", "23", "28", "42", "3D", "3F", "0A", "P0":
		return true
	}
	return false
}

// closed reports whether the pool has been closed: its error is not exported.
func closed(err error) bool { return err != nil && strings.HasSuffix(err.Error(), "closed pool") }

// explain returns a final error with what it means.
func (s *server) explain(err error) error {
	var reply *pgconn.PgError
	switch {
	case closed(err):
		return fmt.Errorf("%s: %w: the pool was closed", s.what, backplane.ErrClosed)
	case isCode(err, "3F000", "42883", "42P01"):
		return fmt.Errorf("%s: refused by the server: %w; is the schema %s complete?", s.what, err, s.schema)
	case errors.As(err, &reply):
		return fmt.Errorf("%s: refused by the server: %w", s.what, err)
	}
	return fmt.Errorf("%s: %w", s.what, err)
}

// A stall is the time without an answer, which is logged once if it is long.
type stall struct {
	since  time.Time
	logged bool
}

func (s *stall) note(what string, err error) {
	switch {
	case s.since.IsZero():
		s.since = time.Now()
	case !s.logged && time.Since(s.since) > stallTimeout:
		s.logged = true
		slog.Warn(what+": no answer from the server; retrying", "since", s.since, "error", err)
	}
}

func (s *stall) over(what string) {
	if s.logged {
		slog.Info(what+": the server answers again", "after", time.Since(s.since))
	}
}

// sleep waits until it is woken, d has passed, or the context ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}
