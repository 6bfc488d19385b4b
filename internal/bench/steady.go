package bench

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/tasks"
)

// steady has as many messages go as come: in each round the oldest are deleted, as
// workers do it, while as many others are sent. After enough rounds every message
// is one that was sent here. A database that only grows, or slows down, shows.
func (s *servers) steady(ctx context.Context) error {
	var c contender
	for _, each := range s.contenders() {
		if each.name == full {
			c = each
		}
	}
	s.say("\n| as many messages go as come | messages/s | accepted p99 | deleted | took | messages | their indexes | the whole database |\n|---|---|---|---|---|---|---|---|\n")
	for round := range s.Steady + 1 {
		if err := s.steadyRound(ctx, c, round); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) steadyRound(ctx context.Context, c contender, round int) error {
	come := warmUp + s.Messages
	st, err := s.setUp(ctx, c, come)
	if err != nil {
		return err
	}
	defer st.tearDown(ctx)
	purged := make(chan error, 1)
	var before int64
	if err := st.conn.QueryRow(ctx, "SELECT count(*) FROM messages").Scan(&before); err != nil {
		return err
	}
	if round == 0 { // nothing to compare with yet
		purged <- nil
	} else if err := s.purge(ctx, st, come, purged); err != nil {
		return err
	}
	m, err := st.measure(ctx, s.Messages, 0)
	if failed := <-purged; failed != nil {
		err = failed
	}
	if err != nil {
		return err
	}
	took := time.Since(time.Unix(0, m.answered.Began))
	var after, table, indexes, all int64
	if err := st.conn.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM messages), pg_table_size('messages'), pg_indexes_size('messages'), pg_database_size(current_database())`).
		Scan(&after, &table, &indexes, &all); err != nil {
		return err
	}
	s.say("| round %d | %.0f | %s | %d | %.0f s | %.0f MB | %.0f MB | %.0f MB |\n", round, m.rate(s.Messages), ms(m.answered.P99),
		before+int64(come)-after, took.Seconds(), float64(table)/1e6, float64(indexes)/1e6, float64(all)/1e6)
	return nil
}

// purge begins to delete so many of the oldest messages, and tells when it has.
func (s *servers) purge(ctx context.Context, st *stage, messages int, purged chan<- error) error {
	var oldest uuid.UUID // of those that stay
	if err := st.conn.QueryRow(ctx, "SELECT id FROM messages ORDER BY id OFFSET $1 LIMIT 1", messages).Scan(&oldest); err != nil {
		return err
	}
	made := time.Unix(oldest.Time().UnixTime())
	address, err := s.address(full)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return err
	}
	go func() {
		defer pool.Close()
		purger := history.Purger{Pool: pool, Keep: history.Retention{Messages: time.Since(made)}, Log: slog.New(slog.DiscardHandler)}
		purged <- purger.Purge(ctx, tasks.Purge{})
	}()
	return nil
}
