package main

import (
	"context"
	"database/sql"
)

// show has send send the board as it is, unless that was done already.
//
// What is shown must be what was committed, and in that order, although several
// processes change the board. So a change is committed together with the note that
// it is to be shown, and then whoever can shows the newest version, in a transaction
// of its own: there is one at a time, over all processes.
//
// A process may be killed between the two, or after it has sent the board and
// before it has noted that; and the log may not answer, so that nobody knows whether
// it has the board (backplane.ErrIndeterminate). In all these cases the board is sent
// again, by whichever process is the first to look, and under the same name, which
// is the version: the log takes it once.
func (b *board) show(ctx context.Context, send func(version int64, cards []card, changed int64) error) error {
	due := false
	err := b.db.QueryRowContext(ctx, "select version > shown from outbox").Scan(&due)
	if err != nil || !due {
		return err // most often it is not due, and a look is cheap
	}
	return b.transact(ctx, func(tx *sql.Tx) error {
		var version, shown, changed int64
		if err := tx.QueryRow("select version, shown, card from outbox").Scan(&version, &shown, &changed); err != nil {
			return err
		}
		if version == shown {
			return nil // another was faster
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
