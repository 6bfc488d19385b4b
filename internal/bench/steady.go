package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	purgePatience = 5 * time.Minute
	day           = 24 * time.Hour
)

// steady has as many messages go as come: in each round the retention ends so much
// earlier that the same number of old ones is deleted, while others are sent. A
// database that only grows, or slows down, shows.
func (s *servers) steady(ctx context.Context) error {
	var c contender
	for _, each := range s.contenders() {
		if each.name == full {
			c = each
		}
	}
	s.say("\n| as many messages go as come | messages/s | accepted p99 | deleted | deleted after | messages and their indexes | the whole database |\n|---|---|---|---|---|---|---|\n")
	own := s.Env
	defer func() { s.Env = own }()
	keep := fillSpan
	for round := range s.Steady + 1 {
		if round > 0 { // the first has nothing to delete
			keep -= time.Duration(float64(fillSpan) * float64(s.Messages+warmUp) / float64(s.History)).Round(day)
		}
		s.Env = append(slices.Clip(own), fmt.Sprintf("RETENTION_DAYS=messages=%d", keep/day+1))
		if err := s.steadyRound(ctx, c, round, keep); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) steadyRound(ctx context.Context, c contender, round int, keep time.Duration) error {
	st, err := s.setUp(ctx, c, warmUp+s.Messages)
	if err != nil {
		return err
	}
	defer st.tearDown(ctx)
	const rows = "SELECT count(*) FROM messages"
	var before, after, table, all int64
	if err := st.conn.QueryRow(ctx, rows).Scan(&before); err != nil {
		return err
	}
	m, err := st.measure(ctx, s.Messages, 0)
	if err != nil {
		return err
	}
	if err := st.awaitPurge(ctx, keep); err != nil {
		return err
	}
	took := time.Since(time.Unix(0, m.answered.Began))
	if err := st.conn.QueryRow(ctx, "SELECT ("+rows+"), pg_total_relation_size('messages'), pg_database_size(current_database())").Scan(&after, &table, &all); err != nil {
		return err
	}
	s.say("| round %d | %.0f | %s | %d | %.0f s | %.0f MB | %.0f MB |\n", round, m.rate(s.Messages), ms(m.answered.P99),
		before+warmUp+int64(s.Messages)-after, took.Seconds(), float64(table)/1e6, float64(all)/1e6)
	return nil
}

// awaitPurge waits until nothing is left that is older than it is kept.
func (st *stage) awaitPurge(ctx context.Context, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, purgePatience)
	defer cancel()
	for {
		var oldest uuid.UUID
		if err := st.conn.QueryRow(ctx, "SELECT id FROM messages ORDER BY id LIMIT 1").Scan(&oldest); err != nil {
			return fmt.Errorf("wait for what is old to be deleted: %w", err)
		}
		// An id begins with the milliseconds of its making (RFC 9562, version 7).
		made := time.UnixMilli(int64(binary.BigEndian.Uint64(oldest[:8]) >> 16))
		if time.Since(made) < keep+2*day {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
