package board

import (
	"context"
	"database/sql"
)

// show calls send with the board as it is now, unless it was sent already.
//
// Boards must be shown in the order in which they were committed, although several
// processes change the board. So each change is committed together with a record
// that the board must be shown. Then the first process that can shows the newest
// version, in a transaction of its own: SQLite runs one at a time, over all
// processes.
//
// A process may be killed between the two, or between sending the board and
// recording that it did; and if the log does not answer, it is unknown whether it
// has the board. In each case the board is sent again, by the first process that
// looks, with the same key: the version. The log accepts a key only once.
func (s *store) show(ctx context.Context, send func(version int64, cards []card, changed int64) error) error {
	due := false
	err := s.db.QueryRowContext(ctx, "select version > shown from outbox").Scan(&due)
	if err != nil || !due {
		return err // usually it is not due, and this query is cheap
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		var version, shown, changed int64
		if err := tx.QueryRow("select version, shown, card from outbox").Scan(&version, &shown, &changed); err != nil {
			return err
		}
		if version == shown {
			return nil // another process was faster
		}
		cards, err := readCards(ctx, tx)
		if err != nil {
			return err
		}
		if err := send(version, cards, changed); err != nil {
			return err
		}
		_, err = tx.Exec("update outbox set shown = ?", version)
		return err
	})
}
