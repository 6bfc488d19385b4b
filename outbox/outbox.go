// Package outbox sends messages durably from Go: the row is committed in
// PostgreSQL first, then the queue is told. What was committed reaches a final
// state whatever happens to Redis or to this process.
//
// A program that has no PostgreSQL uses package tasks.
package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/coalesce"
	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/tasks"
)

// What the caller must change. Payloads that are wrong in themselves give
// errors that match tasks.ErrInvalid.
var (
	// ErrUnknownInstance means that no instance has the name.
	ErrUnknownInstance = errors.New("unknown instance")
	// ErrKeyReused means that the key stands for another message already.
	ErrKeyReused = errors.New("idempotency key reused")
	// ErrUnknownReply means that the message replied to is not in that chat.
	ErrUnknownReply = errors.New("unknown message to reply to")
)

// How callers who wait at the same time share a commit.
const (
	acceptWidth   = 4   // one batch travels while another is gathered; more when one must wait for a lock
	acceptMax     = 500 // messages; keeps a task and a transaction small
	acceptTimeout = 10 * time.Second
	queueWait     = time.Second // how long Send waits for Redis
)

// Receipt says that a message is committed.
type Receipt struct {
	ID        uuid.UUID
	Chat      string    // the JID it goes to
	Status    string    // as it was accepted: "queued" or "scheduled"
	CreatedAt time.Time // when it was accepted
	Replayed  bool      // its key named this same message before
}

// Outbox accepts messages. It is safe for concurrent use.
type Outbox struct {
	// OnUnqueued, if set before first use, is told when Redis did not take a
	// task. Nothing is lost: the relay of any worker queues it later.
	OnUnqueued func(error)
	// OnQueued, if set before first use, is told when Redis took a task.
	OnQueued func()

	pool    *pgxpool.Pool
	queue   *queue.Queue
	accepts *coalesce.Group[tasks.SendMessage, accepted] // stored, then queued
	stores  *coalesce.Group[tasks.SendMessage, accepted] // only stored
}

// accepted is a receipt whose task may still be on the way to Redis.
type accepted struct {
	receipt Receipt
	err     error           // this message's own; its neighbours are fine
	queued  <-chan struct{} // closed when Redis took the task, or failed to; nil when there is none
}

// New returns an Outbox on the caller's pool and asynq client, which stay the
// caller's to close. With plan_cache_mode=force_generic_plan among the pool's
// runtime parameters a message alone is accepted in a third of the time:
// otherwise PostgreSQL plans its statement anew each time.
func New(pool *pgxpool.Pool, client *asynq.Client) *Outbox {
	o := &Outbox{pool: pool}
	o.queue = queue.New(client, func(err error) {
		switch {
		case err == nil && o.OnQueued != nil:
			o.OnQueued()
		case err != nil && o.OnUnqueued != nil:
			o.OnUnqueued(err)
		}
	})
	shared := coalesce.Options{
		Width: acceptWidth, Max: acceptMax, Timeout: acceptTimeout,
		// A lock that one caller's chat or key waits for is no matter of the others.
		Split: func(err error) bool { return !db.Away(err) || db.Blocked(err) },
	}
	o.accepts = coalesce.New(shared, o.acceptBatch)
	o.stores = coalesce.New(shared, func(ctx context.Context, batch []tasks.SendMessage) ([]accepted, error) {
		return store(ctx, db.New(pool), uuid.Nil, batch)
	})
	return o
}

// Close waits until every committed message was offered to Redis, or ctx ends.
// Nothing is lost without it.
func (o *Outbox) Close(ctx context.Context) error { return o.queue.Close(ctx) }

// Send commits m, then queues it. It returns nil only when m is committed; m is
// then sent once, after every message of the same chat that was accepted
// before. When Redis is away it returns nil as well: m is queued later.
func (o *Outbox) Send(ctx context.Context, m tasks.SendMessage) (Receipt, error) {
	a, err := o.accept(ctx, m)
	if err != nil {
		return Receipt{}, err
	}
	if a.queued != nil {
		select {
		case <-a.queued:
		case <-ctx.Done():
		case <-time.After(queueWait):
		}
	}
	return a.receipt, nil
}

// Accept commits m and returns. Its task is on the way to Redis: a caller who
// answers others should not make them wait for that.
func (o *Outbox) Accept(ctx context.Context, m tasks.SendMessage) (Receipt, error) {
	a, err := o.accept(ctx, m)
	return a.receipt, err
}

// SendTx stores m in the caller's transaction: it takes effect exactly when
// that commits, and the workers are woken at that moment. When it returns an
// error the transaction is still usable, unless PostgreSQL itself failed.
func (o *Outbox) SendTx(ctx context.Context, tx pgx.Tx, m tasks.SendMessage) (Receipt, error) {
	q := db.New(tx)
	if err := check(m, time.Now()); err != nil {
		return late(ctx, q, m, err)
	}
	a, err := storeTimes(ctx, q, uuid.Nil, []tasks.SendMessage{m}, false, storeTries)
	if err != nil {
		return Receipt{}, away(err)
	}
	if a[0].err != nil {
		return Receipt{}, a[0].err
	}
	if err := q.WakeRelay(ctx); err != nil {
		return Receipt{}, away(err)
	}
	return a[0].receipt, nil
}

// Store commits m without queueing it and without judging its times: for a
// worker that holds the task already.
func (o *Outbox) Store(ctx context.Context, m tasks.SendMessage) (Receipt, error) {
	if err := invalid(m.Validate()); err != nil {
		return Receipt{}, err
	}
	a, err := o.stores.Do(ctx, m)
	if err != nil {
		return Receipt{}, away(err)
	}
	return a.receipt, a.err
}

func (o *Outbox) accept(ctx context.Context, m tasks.SendMessage) (accepted, error) {
	if err := check(m, time.Now()); err != nil {
		r, err := late(ctx, db.New(o.pool), m, err)
		return accepted{receipt: r}, err
	}
	a, err := o.accepts.Do(ctx, m)
	if err != nil {
		return accepted{}, away(err)
	}
	return a, a.err
}

// acceptBatch commits what was accepted together and sends its tasks on their
// way.
func (o *Outbox) acceptBatch(ctx context.Context, batch []tasks.SendMessage) ([]accepted, error) {
	var group uuid.UUID
	if len(batch) > 1 {
		group = newID()
	}
	answers, err := store(ctx, db.New(o.pool), group, batch)
	if err != nil {
		return nil, err
	}
	work := tasksFor(group, batch, answers)
	if len(work) == 0 {
		return answers, nil
	}
	queued := o.queue.Push(ctx, work)
	for i := range answers {
		answers[i].queued = queued
	}
	return answers, nil
}

// tasksFor returns the tasks of the messages that are new and due: one for a
// message alone, one for all of a priority otherwise.
func tasksFor(group uuid.UUID, batch []tasks.SendMessage, answers []accepted) []tasks.Payload {
	if group == uuid.Nil {
		if !answers[0].due() {
			return nil
		}
		return []tasks.Payload{stored(batch[0], answers[0].receipt.ID)}
	}
	var work []tasks.Payload
	for _, priority := range []string{tasks.QueueCritical, tasks.QueueDefault, tasks.QueueBulk} {
		var together []tasks.SendMessage
		for i, m := range batch {
			if answers[i].due() && tasks.QueueOf(m.Priority) == priority {
				together = append(together, stored(m, answers[i].receipt.ID))
			}
		}
		if len(together) > 0 {
			work = append(work, tasks.SendMessages{Batch: group.String(), Messages: together})
		}
	}
	return work
}

// stored is the task of a message that has a row. A file stays there: Redis is
// memory.
func stored(m tasks.SendMessage, id uuid.UUID) tasks.SendMessage {
	m.ID = id.String()
	if m.Media != nil && m.Media.Base64 != "" {
		m.Content = tasks.Content{}
	}
	return m
}

func (a accepted) due() bool {
	return a.err == nil && !a.receipt.Replayed && a.receipt.Status == string(db.MessageStatusQueued)
}
