package board

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"example.org/sse/pglog"
)

// postgresSchema makes the tables, unless they exist. They are in a schema of their own, which
// the pool's connections use.
const postgresSchema = `
select pg_advisory_xact_lock(8080); -- several nodes may start at once
create schema if not exists demo;
create table if not exists card (
	id bigint generated always as identity primary key,
	text text not null,
	list text not null,
	position integer not null,
	revision bigint not null default 1,
	author text not null,
	hue integer not null
);
create table if not exists secret (key bytea not null)`

// OpenPostgres opens the board in a PostgreSQL database, which has the log and the store of all
// its nodes as well: a node calls neither [Open] nor [App.Share]. It makes what does not exist.
func OpenPostgres(ctx context.Context, url, node, scripts string) (*App, error) {
	if err := checkScripts(scripts); err != nil {
		return nil, err
	}
	return openPostgres(ctx, url, node, scripts)
}

func openPostgres(ctx context.Context, url, node, scripts string) (*App, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.RuntimeParams["search_path"] = "demo"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &store{db: stdlib.OpenDBFromPool(pool), pool: pool}
	a, err := s.app(ctx, node, scripts)
	if err != nil {
		return nil, fmt.Errorf("board in PostgreSQL: %w", errors.Join(err, s.close()))
	}
	return a, nil
}

// app makes what the database lacks, and returns an App.
func (s *store) app(ctx context.Context, node, scripts string) (*App, error) {
	if err := s.preparePostgres(ctx); err != nil {
		return nil, err
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := pglog.Open(ctx, s.pool, "demo", nil)
	if err != nil {
		return nil, err
	}
	records, err := pglog.OpenStore(ctx, s.pool, "demo", nil)
	if err != nil {
		return nil, err
	}
	a := newApp(s, key, scripts)
	a.Share(node, entries, records)
	a.streams.flush = entries.Flush
	s.showIn = func(ctx context.Context, tx *sql.Tx, cards []card, changed int64) error {
		return a.streams.showIn(ctx, entries.SQLTx(tx), cards, changed)
	}
	return a, nil
}

// preparePostgres makes the tables, and fills them if they are new.
func (s *store) preparePostgres(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Conn().PgConn().Exec(ctx, postgresSchema).ReadAll() // one transaction
	conn.Release()
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("lock table secret"); err != nil {
			return err
		}
		var filled bool
		if err := tx.QueryRow("select exists (select from secret)").Scan(&filled); err != nil || filled {
			return err
		}
		return errors.Join(s.fill(tx, 0), s.fill(tx, 1))
	})
}
