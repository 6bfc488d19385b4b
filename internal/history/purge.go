package history

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/tasks"
)

const (
	purgeBatch = 500
	// purgeRest is how much longer than a batch the pause after it is: deleting is
	// never urgent, and what people wait for goes first.
	purgeRest = 3
	// uploadsKept is how long a file that was sent is kept for a retry.
	uploadsKept = 3 * 24 * time.Hour
	// presenceKept is how long it is remembered what somebody was doing.
	presenceKept = 24 * time.Hour
)

// Retention is how long each kind of data is kept since it was stored; zero
// means for ever.
type Retention struct {
	Messages    time.Duration // settled ones, with their attempts; also their idempotency keys are forgotten
	Events      time.Duration // gateway events that were applied, or meant nothing
	Quarantined time.Duration // gateway events that were kept for a person
	Evidence    time.Duration // reports of messages that nobody told us of
}

// Purger deletes what has been kept for long enough, a few rows at a time.
// Chats, contacts and what is still to be done always stay.
type Purger struct {
	Pool *pgxpool.Pool
	Keep Retention
	Log  *slog.Logger
	// Files is where the files of messages are kept; nil: none are.
	Files FileStore
}

// FileStore deletes files by their keys; one that is not there is no error.
type FileStore interface {
	Delete(ctx context.Context, key string) error
}

// Purge deletes until nothing is left to delete, or ctx ends. Two of these do
// not disturb each other. Handler of tasks.Purge.
func (p Purger) Purge(ctx context.Context, _ tasks.Purge) error {
	q := db.New(p.Pool)
	now := time.Now()
	events := func(states ...string) func(span) ([]uuid.UUID, error) {
		return func(s span) ([]uuid.UUID, error) {
			return q.PurgeEvents(ctx, db.PurgeEventsParams{AfterID: s.after, BeforeID: s.before, States: states, MaxRows: purgeBatch})
		}
	}
	for _, kind := range []struct {
		name  string
		keep  time.Duration
		purge func(span) ([]uuid.UUID, error)
	}{
		{"messages", p.Keep.Messages, func(s span) ([]uuid.UUID, error) {
			return q.PurgeMessages(ctx, db.PurgeMessagesParams{AfterID: s.after, BeforeID: s.before, Before: s.until, MaxRows: purgeBatch})
		}},
		{"events", p.Keep.Events, events("applied", "unhandled")},
		{"quarantined", p.Keep.Quarantined, events("quarantined")},
		{"uploads", uploadsKept, func(s span) ([]uuid.UUID, error) {
			return q.PurgeUploads(ctx, db.PurgeUploadsParams{AfterID: s.after, BeforeID: s.before, Before: s.until, MaxRows: purgeBatch})
		}},
		{"presence", presenceKept, func(s span) ([]uuid.UUID, error) {
			n, err := q.PurgePresence(ctx, db.PurgePresenceParams{Before: s.until, MaxRows: purgeBatch})
			return make([]uuid.UUID, n), err
		}},
		{"evidence", p.Keep.Evidence, func(s span) ([]uuid.UUID, error) {
			n, err := q.PurgeEvidence(ctx, db.PurgeEvidenceParams{Before: s.until, MaxRows: purgeBatch})
			return make([]uuid.UUID, n), err
		}},
	} {
		if kind.keep == 0 {
			continue
		}
		n, err := purge(ctx, until(now.Add(-kind.keep)), kind.purge)
		if n > 0 {
			p.Log.LogAttrs(ctx, slog.LevelInfo, "history.purged", slog.String("kind", kind.name), slog.Int("rows", n))
		}
		if err != nil {
			return fmt.Errorf("purge %s: %w", kind.name, err)
		}
	}
	return p.purgeFiles(ctx)
}

// span is what a batch may delete: what was stored before a time, and has an id
// after that of the batch before it.
type span struct {
	until         time.Time
	after, before uuid.UUID
}

// until returns the span of all that was stored before t. Our ids are UUIDv7,
// which begin with the milliseconds of their time.
func until(t time.Time) span {
	s := span{until: t}
	binary.BigEndian.PutUint64(s.before[:], uint64(max(t.UnixMilli(), 0))<<16)
	return s
}

// purge deletes batch after batch, resting in between.
func purge(ctx context.Context, s span, batch func(span) ([]uuid.UUID, error)) (n int, err error) {
	for {
		start := time.Now()
		ids, err := batch(s)
		if err != nil {
			return n, err
		}
		n += len(ids)
		if len(ids) < purgeBatch {
			return n, nil
		}
		s.after = ids[len(ids)-1]
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-time.After(purgeRest * time.Since(start)):
		}
	}
}
