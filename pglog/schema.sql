-- The schema of package pglog, version 1. Open makes it if it may; otherwise run this file,
-- as the owner of the schema:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -f schema.sql
--
-- It may be run again, and by several sessions at once. To use another schema's name, run
-- what pglog.Schema returns. Functions never change: a new version of the package adds new
-- ones, so that old and new processes can run side by side.

DO $$ BEGIN
	-- A second session would fail, although everything is made only if it does not exist.
	PERFORM pg_advisory_xact_lock(1885826151, 0);
	IF to_regnamespace('pglog') IS NULL THEN
		CREATE SCHEMA pglog;
	END IF;
END $$;

-- Ids are random: a log that is made again gets another one, so that a process that knows the
-- old one does not add to it by mistake. Names are bytes: text has no NUL.
CREATE TABLE IF NOT EXISTS pglog.log (
	id    integer PRIMARY KEY DEFAULT floor(random() * 2147483647)::integer,
	name  bytea NOT NULL UNIQUE,
	nonce bigint NOT NULL DEFAULT floor(random() * 4294967296)::bigint, -- of the place before entry 1
	first bigint NOT NULL DEFAULT 1, -- the oldest entry that was not deleted
	head  bigint NOT NULL DEFAULT 0, -- the newest entry
	total bigint NOT NULL DEFAULT 0  -- bytes of data up to and with the newest entry
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE IF NOT EXISTS pglog.entry (
	log   integer NOT NULL,
	seq   bigint NOT NULL,
	at    timestamptz NOT NULL DEFAULT clock_timestamp(),
	id    uuid NOT NULL, -- the first 16 bytes of the id's SHA-256; the first 4 are the cursor's nonce
	total bigint NOT NULL, -- bytes of data up to and with this entry
	data  bytea NOT NULL,
	PRIMARY KEY (log, seq),
	UNIQUE (log, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
ALTER TABLE pglog.entry ALTER COLUMN data SET STORAGE EXTERNAL;

-- Entries of transactions, until they are numbered. The id is not unique here: transactions
-- with the same id would wait for each other. The key begins with the transaction's number,
-- so that a look for new rows can skip the deleted ones; see low1.
CREATE TABLE IF NOT EXISTS pglog.outbox (
	log  integer NOT NULL,
	xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
	pos  bigint GENERATED ALWAYS AS IDENTITY,
	id   uuid NOT NULL,
	data bytea NOT NULL,
	PRIMARY KEY (log, xid, pos)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = off);
ALTER TABLE pglog.outbox ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE IF NOT EXISTS pglog.store (
	id     integer PRIMARY KEY DEFAULT floor(random() * 2147483647)::integer,
	name   bytea NOT NULL UNIQUE,
	nonce  bigint NOT NULL DEFAULT floor(random() * 4294967296)::bigint,
	rev    bigint NOT NULL DEFAULT 0, -- of the newest change
	purged bigint NOT NULL DEFAULT 0  -- deletions up to this revision may be forgotten
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE IF NOT EXISTS pglog.record (
	store integer NOT NULL,
	key   bytea NOT NULL,
	rev   bigint NOT NULL,
	call  uuid,        -- of the call of Swap that made the change
	due   timestamptz, -- when it expires, or is forgotten if it is deleted; null: never
	value bytea,       -- null: deleted
	PRIMARY KEY (store, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS record_rev ON pglog.record (store, rev);
CREATE INDEX IF NOT EXISTS record_due ON pglog.record (store, due) WHERE due IS NOT NULL;

CREATE OR REPLACE FUNCTION pglog.version1() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';

-- The settings of the functions make them go through keys, whatever the statistics say: the
-- outbox is usually empty, and a plan that was made then would read all of it later.

-- check1 raises an error in a transaction in which statements do not see what others have
-- committed, and limits how long the next lock is waited for.
CREATE OR REPLACE FUNCTION pglog.check1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION USING ERRCODE = '25001', MESSAGE = 'this needs the isolation level read committed';
	END IF;
	PERFORM set_config('lock_timeout', '2s', true);
END $$;

CREATE OR REPLACE FUNCTION pglog.open_log1(_name bytea) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE _id integer;
BEGIN
	LOOP
		SELECT id INTO _id FROM pglog.log WHERE name = _name;
		IF FOUND THEN
			RETURN _id;
		END IF;
		INSERT INTO pglog.log (name) VALUES (_name) ON CONFLICT DO NOTHING;
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION pglog.open_store1(_name bytea) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE _id integer;
BEGIN
	LOOP
		SELECT id INTO _id FROM pglog.store WHERE name = _name;
		IF FOUND THEN
			RETURN _id;
		END IF;
		INSERT INTO pglog.store (name) VALUES (_name) ON CONFLICT DO NOTHING;
	END LOOP;
END $$;

-- number1 gives entries in the outbox, at most _most, their place in the log, and returns how
-- many it found. The caller holds the log's lock. It goes row by row through the keys: a plan
-- for all at once may read the whole log, as long as there are no statistics.
CREATE OR REPLACE FUNCTION pglog.number1(_log integer, _low xid8, _most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	_head bigint;
	_total bigint;
	_found integer := 0;
	_row record;
BEGIN
	SELECT head, total INTO _head, _total FROM pglog.log WHERE id = _log;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SSE01', MESSAGE = 'the log does not exist';
	END IF;
	FOR _row IN SELECT xid, pos, id, data FROM pglog.outbox WHERE log = _log AND xid >= _low ORDER BY pos LIMIT _most LOOP
		INSERT INTO pglog.entry (log, seq, id, total, data)
			VALUES (_log, _head + 1, _row.id, _total + octet_length(_row.data), _row.data)
			ON CONFLICT (log, id) DO NOTHING;
		IF FOUND THEN
			_head := _head + 1;
			_total := _total + octet_length(_row.data);
		END IF;
		DELETE FROM pglog.outbox WHERE log = _log AND xid = _row.xid AND pos = _row.pos;
		_found := _found + 1;
	END LOOP;
	IF _found > 0 THEN
		UPDATE pglog.log SET head = _head, total = _total WHERE id = _log;
	END IF;
	RETURN _found;
END $$;

-- low1 returns the number of a transaction: all before it had ended, and their entries were
-- numbered, when this connection of the server has looked last. So a look need not pass over
-- deleted rows that an old snapshot in the database keeps alive. Without synchronous_commit a crash
-- can take numbers back, and give those of transactions again, but no connection survives it. _all is to look at all rows
-- nevertheless: somebody may have restored some, with the numbers of another time.
CREATE OR REPLACE FUNCTION pglog.low1(_log integer, _all boolean) RETURNS xid8 LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN _all THEN '0' ELSE coalesce(nullif(current_setting('sse.low_' || _log, true), ''), '0') END::xid8;
END $$;

-- sequence1 numbers committed entries of the outbox. It returns how many it found, -1 if it
-- would have had to wait.
CREATE OR REPLACE FUNCTION pglog.sequence1(_log integer, _most integer, _wait boolean, _all boolean) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_low xid8 := pglog.low1(_log, _all);
	_next xid8;
	_found integer := 0;
BEGIN
	PERFORM pglog.check1();
	_next := pg_snapshot_xmin(pg_current_snapshot());
	IF EXISTS (SELECT FROM pglog.outbox WHERE log = _log AND xid >= _low) THEN
		IF _wait THEN
			PERFORM pg_advisory_xact_lock(1885826152, _log);
		ELSIF NOT pg_try_advisory_xact_lock(1885826152, _log) THEN
			RETURN -1;
		END IF;
		_next := pg_snapshot_xmin(pg_current_snapshot());
		_found := pglog.number1(_log, _low, _most);
	END IF;
	IF _found < _most THEN
		PERFORM set_config('sse.low_' || _log, _next::text, false);
	END IF;
	RETURN _found;
END $$;

-- append1 adds entries, and returns their numbers; or null if there were so many entries in
-- the outbox that it has to be called again. The outbox is first: a caller's transaction was
-- committed before its call of append1.
CREATE OR REPLACE FUNCTION pglog.append1(_log integer, _ids uuid[], _data bytea[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_low xid8 := pglog.low1(_log, false);
	_head bigint;
	_total bigint;
	_seq bigint;
	_seqs bigint[] := '{}';
BEGIN
	PERFORM pglog.check1();
	PERFORM pg_advisory_xact_lock(1885826152, _log);
	IF EXISTS (SELECT FROM pglog.outbox WHERE log = _log AND xid >= _low)
		AND pglog.number1(_log, _low, 2000) = 2000 THEN
		RETURN NULL;
	END IF;
	SELECT head, total INTO _head, _total FROM pglog.log WHERE id = _log;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SSE01', MESSAGE = 'the log does not exist';
	END IF;
	FOR i IN 1 .. cardinality(_ids) LOOP
		INSERT INTO pglog.entry (log, seq, id, total, data)
			VALUES (_log, _head + 1, _ids[i], _total + octet_length(_data[i]), _data[i])
			ON CONFLICT (log, id) DO NOTHING;
		IF FOUND THEN
			_head := _head + 1;
			_total := _total + octet_length(_data[i]);
			_seqs := _seqs || _head;
		ELSE
			SELECT seq INTO _seq FROM pglog.entry WHERE log = _log AND id = _ids[i];
			_seqs := _seqs || _seq;
		END IF;
	END LOOP;
	UPDATE pglog.log SET head = _head, total = _total WHERE id = _log;
	RETURN _seqs;
END $$;

-- oldest1 returns the number before the oldest entry that is kept.
CREATE OR REPLACE FUNCTION pglog.oldest1(_log integer, _history bigint, _bytes bigint) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_old bigint;
	_new bigint;
	_mid bigint;
	_sum bigint;
	_rest bigint;
BEGIN
	SELECT greatest(first, head - _history + 1), head, total INTO _old, _new, _sum FROM pglog.log WHERE id = _log;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SSE01', MESSAGE = 'the log does not exist';
	END IF;
	WHILE _old < _new LOOP
		_mid := (_old + _new) / 2;
		SELECT _sum - total + octet_length(data) INTO _rest FROM pglog.entry WHERE log = _log AND seq = _mid;
		IF NOT FOUND OR _rest > _bytes THEN
			_old := _mid + 1;
		ELSE
			_new := _mid;
		END IF;
	END LOOP;
	RETURN _old - 1;
END $$;

-- read1 returns the state of the log, and in the same snapshot the entry _from, without its
-- data, and those that follow; null: from the newest one on. waiting is whether there was
-- something to number before that.
CREATE OR REPLACE FUNCTION pglog.read1(_log integer, _from bigint, _rows integer, _bytes bigint, _all boolean)
RETURNS TABLE (head bigint, total bigint, nonce bigint, waiting boolean, seq bigint, sum bigint, id uuid, data bytea)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
	_low xid8 := pglog.low1(_log, _all);
	_next xid8 := pg_snapshot_xmin(pg_current_snapshot());
	_waiting boolean := EXISTS (SELECT FROM pglog.outbox o WHERE o.log = _log AND o.xid >= _low);
BEGIN
	IF NOT _waiting THEN
		PERFORM set_config('sse.low_' || _log, _next::text, false);
	END IF;
	RETURN QUERY
	SELECT l.head, l.total, l.nonce, _waiting, e.seq, e.total, e.id, CASE WHEN e.seq > coalesce(_from, l.head) THEN e.data END
	FROM pglog.log l LEFT JOIN LATERAL (
		SELECT n.seq, n.total, n.id, n.data, n.total - first_value(n.total) OVER (ORDER BY n.seq) AS size FROM (
			SELECT m.seq, m.total, m.id, m.data FROM pglog.entry m
			WHERE m.log = _log AND m.seq >= coalesce(_from, l.head)
			ORDER BY m.seq LIMIT _rows
		) n
	) e ON e.size <= _bytes
	WHERE l.id = _log
	ORDER BY e.seq;
END $$;

-- trim1 deletes entries that are not kept, the oldest first, at most _most, and returns how
-- many. Ids are recognized for three minutes, and so entries stay as long.
CREATE OR REPLACE FUNCTION pglog.trim1(_log integer, _history bigint, _bytes bigint, _most integer) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_first bigint;
	_last bigint;
BEGIN
	PERFORM pglog.check1();
	IF NOT pg_try_advisory_xact_lock(1885826153, _log) THEN
		RETURN 0;
	END IF;
	SELECT first INTO _first FROM pglog.log WHERE id = _log;
	_last := least(pglog.oldest1(_log, _history, _bytes), _first + _most - 1);
	SELECT coalesce(min(seq) - 1, _last) INTO _last FROM pglog.entry
		WHERE log = _log AND seq >= _first AND seq <= _last AND at >= clock_timestamp() - interval '3 minutes';
	IF _last < _first THEN
		RETURN 0;
	END IF;
	PERFORM set_config('synchronous_commit', 'off', true);
	DELETE FROM pglog.entry WHERE log = _log AND seq >= _first AND seq <= _last;
	UPDATE pglog.log SET first = _last + 1 WHERE id = _log;
	RETURN _last - _first + 1;
END $$;

-- sweep1 deletes expired records, and forgets deleted ones after ten minutes: at most _most of
-- both together. It returns the newest revision. The caller holds the store's lock.
CREATE OR REPLACE FUNCTION pglog.sweep1(_store integer, _rev bigint, _most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	_now timestamptz := clock_timestamp();
	_row record;
BEGIN
	FOR _row IN SELECT key, rev, value IS NULL AS gone FROM pglog.record WHERE store = _store AND due <= _now ORDER BY due LIMIT _most LOOP
		IF _row.gone THEN
			DELETE FROM pglog.record WHERE store = _store AND key = _row.key;
			UPDATE pglog.store SET purged = greatest(purged, _row.rev) WHERE id = _store;
		ELSE
			_rev := _rev + 1;
			UPDATE pglog.record SET value = NULL, rev = _rev, call = NULL, due = _now + interval '10 minutes'
				WHERE store = _store AND key = _row.key;
		END IF;
	END LOOP;
	RETURN _rev;
END $$;

-- begin1 locks a store and returns the revision before the next one: revisions are µs since
-- 1970 or greater, so that they grow even if an older state of the database is restored.
CREATE OR REPLACE FUNCTION pglog.begin1(_store integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE _rev bigint;
BEGIN
	PERFORM pglog.check1();
	PERFORM pg_advisory_xact_lock(1885826154, _store);
	SELECT greatest(rev, floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint) INTO _rev FROM pglog.store WHERE id = _store;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SSE01', MESSAGE = 'the store does not exist';
	END IF;
	RETURN _rev;
END $$;

-- swap1 makes changes, each if the record has the revision _olds. For each it returns whether
-- it was made, and the record's revision, with its value if the change was not made.
CREATE OR REPLACE FUNCTION pglog.swap1(_store integer, _keys bytea[], _olds bigint[], _values bytea[], _ttls bigint[], _calls uuid[])
RETURNS TABLE (made boolean, revision bigint, present bytea)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_begin bigint := pglog.begin1(_store);
	_rev bigint := pglog.sweep1(_store, _begin, 100);
	_row record;
	_now timestamptz;
	_old bigint;
BEGIN
	FOR i IN 1 .. cardinality(_keys) LOOP
		_now := clock_timestamp();
		SELECT rev, value, call, due INTO _row FROM pglog.record WHERE store = _store AND key = _keys[i];
		_old := CASE WHEN _row.value IS NULL OR _row.due <= _now THEN 0 ELSE _row.rev END;
		made := true;
		present := NULL;
		IF _row.call = _calls[i] THEN -- it was made by an earlier attempt
			revision := _row.rev;
		ELSIF _old <> _olds[i] THEN
			made := false;
			revision := _old;
			present := CASE WHEN _old > 0 THEN _row.value END;
		ELSIF _old = 0 AND _values[i] IS NULL THEN
			revision := 0;
		ELSE
			_rev := _rev + 1;
			revision := _rev;
			INSERT INTO pglog.record AS r (store, key, rev, call, due, value)
				VALUES (_store, _keys[i], _rev, _calls[i],
					CASE WHEN _values[i] IS NULL THEN _now + interval '10 minutes'
						WHEN _ttls[i] > 0 THEN _now + _ttls[i] * interval '1 millisecond' END,
					_values[i])
				ON CONFLICT (store, key) DO UPDATE SET rev = excluded.rev, call = excluded.call, due = excluded.due, value = excluded.value;
		END IF;
		RETURN NEXT;
	END LOOP;
	IF _rev > _begin THEN
		UPDATE pglog.store SET rev = _rev WHERE id = _store;
	END IF;
END $$;

-- expire1 is sweep1 for watchers. It returns whether records have changed.
CREATE OR REPLACE FUNCTION pglog.expire1(_store integer) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
	_begin bigint;
	_rev bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM pglog.record WHERE store = _store AND due <= now()) THEN
		RETURN false;
	END IF;
	_begin := pglog.begin1(_store);
	_rev := pglog.sweep1(_store, _begin, 1000);
	IF _rev > _begin THEN
		UPDATE pglog.store SET rev = _rev WHERE id = _store;
	END IF;
	RETURN _rev > _begin;
END $$;

-- watch1 returns the state of a store, and in the same snapshot the records that have changed
-- after a revision. The time when the server was started tells a watcher that it may be
-- another one, with an older state of the database. wait is the time until a record is due, in ms.
CREATE OR REPLACE FUNCTION pglog.watch1(_store integer, _after bigint, _prefix bytea, _rows integer, _bytes bigint)
RETURNS TABLE (nonce bigint, started timestamptz, newest bigint, purged bigint, wait bigint, key bytea, rev bigint, value bytea)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT s.nonce, pg_postmaster_start_time(), s.rev, s.purged,
		(SELECT ceil(extract(epoch FROM d.due - clock_timestamp()) * 1000)::bigint FROM pglog.record d
			WHERE d.store = _store AND d.due IS NOT NULL ORDER BY d.due LIMIT 1),
		r.key, r.rev, r.value
	FROM pglog.store s LEFT JOIN LATERAL (
		SELECT n.key, n.rev, n.value, sum(octet_length(n.value)) OVER (ORDER BY n.rev) AS size FROM (
			SELECT m.key, m.rev, m.value FROM pglog.record m
			WHERE m.store = _store AND m.rev > _after AND substr(m.key, 1, octet_length(_prefix)) = _prefix
			ORDER BY m.rev LIMIT _rows
		) n
	) r ON coalesce(r.size, 0) <= _bytes
	WHERE s.id = _store
	ORDER BY r.rev;
END $$;
