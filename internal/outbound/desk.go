package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/tasks"
)

// Desk takes what applications ask for beside messages, and leaves it to the
// workers. It is safe for concurrent use.
type Desk struct {
	pool  *pgxpool.Pool
	queue *queue.Queue
}

// NewDesk returns a Desk on the caller's pool and client. onPush hears of every
// task: nil, or why Redis did not take it.
func NewDesk(pool *pgxpool.Pool, client *asynq.Client, onPush func(error)) *Desk {
	return &Desk{pool: pool, queue: queue.New(client, onPush)}
}

// Close waits until everything was offered to Redis, or ctx ends.
func (d *Desk) Close(ctx context.Context) error { return d.queue.Close(ctx) }

// Read has the writer of an inbound message told that it was read. It returns nil
// once that is committed; what is under way or done is not asked for again.
func (d *Desk) Read(ctx context.Context, id uuid.UUID, instance string) error {
	asked, err := db.New(d.pool).AskToRead(ctx, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case db.Away(err):
		return unavailable("ask to read", err)
	case err != nil:
		return fmt.Errorf("ask to read: %w", err)
	}
	d.queue.Push(ctx, []tasks.Payload{tasks.ReadMessage{ID: id.String(), Instance: instance, Asked: asked}})
	return nil
}

// Type shows a chat that an answer is being written. Nothing is kept of it: when
// Redis is away, or every worker busy, nobody sees it.
func (d *Desk) Type(ctx context.Context, t tasks.ShowTyping) error {
	t.Asked = time.Now()
	if e, ok := errors.AsType[*tasks.InvalidError](t.Validate()); ok {
		return fault.New(fault.Invalid, e.Code, "The parameter "+e.Field+" "+e.Reason+".").At(e.Field)
	}
	d.queue.Push(ctx, []tasks.Payload{t})
	return nil
}
