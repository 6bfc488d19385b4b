package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/tasks"
)

const (
	sweepInterval = time.Second
	sweepTimeout  = 20 * time.Second
	sweepPage     = 500
	sweepPages    = 20 // of each kind in one sweep; the next goes on where this one stopped
	// grace is how old a row is before Redis is asked whether it knows of it:
	// an accept tells Redis within milliseconds.
	grace     = 2 * time.Second
	relayLock = 7_305_812_942 // PostgreSQL advisory lock: one sweep at a time
)

// Relay tells Redis of rows that it does not know of: stored in a caller's
// transaction, due now, or forgotten by Redis. Every worker has one; they take
// turns under an advisory lock. Make it with NewRelay.
type Relay struct {
	RelayConfig
	woken chan struct{}

	messages messagePosition
	events   eventPosition
	purged   time.Time
}

// RelayConfig is what a Relay needs. All fields are required.
type RelayConfig struct {
	Pool    *pgxpool.Pool
	Client  *asynq.Client
	Redis   redis.UniversalClient
	Metrics *Metrics
	Log     *slog.Logger
}

// NewRelay returns a Relay.
func NewRelay(c RelayConfig) *Relay { return &Relay{RelayConfig: c, woken: make(chan struct{}, 1)} }

// Positions where the next sweep goes on, so that a long backlog which Redis
// knows of does not hide what it has lost.
type (
	messagePosition struct {
		at  time.Time
		seq int64
	}
	eventPosition struct {
		at time.Time
		id uuid.UUID
	}
)

// Wake has Run sweep at once, for rows of any age. It never blocks, and may be
// called from anywhere.
func (r *Relay) Wake() {
	select {
	case r.woken <- struct{}{}:
	default: // a sweep is due anyway
	}
}

// Run sweeps every second, and when it is woken, until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		patience := grace
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.woken:
			patience = 0
		}
		if err := r.Sweep(ctx, patience); err != nil && ctx.Err() == nil {
			r.Log.LogAttrs(ctx, slog.LevelWarn, "relay.failed", slog.Any("error", err))
		}
	}
}

// Sweep puts right what it finds, unless another worker is at it: then it does
// nothing. Rows younger than patience are left to whoever stored them.
func (r *Relay) Sweep(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	conn, err := r.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquire connection: %w", err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(relayLock)).Scan(&mine); err != nil {
		return fmt.Errorf("lock relay: %w", err)
	}
	if !mine {
		return nil
	}
	defer func() {
		unlocking, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		if _, err := conn.Exec(unlocking, "SELECT pg_advisory_unlock($1)", int64(relayLock)); err != nil {
			_ = conn.Conn().Close(unlocking) // the lock ends with its session
		}
	}()
	return errors.Join(r.repair(ctx), r.relay(ctx, patience))
}

// repair does what needs PostgreSQL alone.
func (r *Relay) repair(ctx context.Context) error {
	q := db.New(r.Pool)
	lost, err := q.AbandonExpiredLeases(ctx, sweepPage)
	if err != nil {
		return fmt.Errorf("abandon leases: %w", err)
	}
	for _, id := range lost {
		r.Log.LogAttrs(ctx, slog.LevelWarn, "message.in_doubt", slog.String("message_id", id.String()), slog.String("code", "worker_lost"))
	}
	r.count("lease_expired", len(lost))
	met, err := db.FoldEarly(ctx, r.Pool, sweepPage)
	if err != nil {
		return err
	}
	r.count("early_evidence", met)
	if time.Since(r.purged) > time.Hour {
		r.purged = time.Now()
		n, err := q.PurgeEarlyEvidence(ctx)
		if err != nil {
			return fmt.Errorf("purge evidence: %w", err)
		}
		if n > 0 { // statuses of messages that this instance's webhooks never told us of
			r.Log.LogAttrs(ctx, slog.LevelWarn, "evidence.orphaned", slog.Int64("rows", n))
		}
	}
	return nil
}

// relay tells Redis what it does not know.
func (r *Relay) relay(ctx context.Context, patience time.Duration) error {
	// asynq adds a queue's name once in a process's life; after a flush nobody
	// would see the queues again.
	names := make([]any, 0, len(tasks.Queues()))
	for _, name := range tasks.Queues() {
		names = append(names, name)
	}
	if err := r.Redis.SAdd(ctx, "asynq:queues", names...).Err(); err != nil {
		return fmt.Errorf("reach Redis: %w", err)
	}
	if err := r.relayMessages(ctx, patience); err != nil {
		return err
	}
	return r.relayEvents(ctx, patience)
}

func (r *Relay) relayMessages(ctx context.Context, patience time.Duration) error {
	q := db.New(r.Pool)
	for range sweepPages {
		rows, err := q.DueHeads(ctx, db.DueHeadsParams{
			DueBefore: time.Now(), AfterAt: r.messages.at, AfterSeq: r.messages.seq, MaxRows: sweepPage,
		})
		if err != nil {
			return fmt.Errorf("list due messages: %w", err)
		}
		if err := r.queueMessages(ctx, rows, patience); err != nil {
			return err
		}
		if len(rows) < sweepPage {
			r.messages = messagePosition{}
			return nil
		}
		last := rows[len(rows)-1]
		r.messages = messagePosition{last.NextAttemptAt, last.Seq}
	}
	return nil
}

func (r *Relay) queueMessages(ctx context.Context, rows []db.DueHeadsRow, patience time.Duration) error {
	due := rows[:0:0]
	var keys [][]string
	for _, m := range rows {
		if m.SendAt == nil && time.Since(m.NextAttemptAt) < patience {
			continue
		}
		due = append(due, m)
		keys = append(keys, messageTasks(m))
	}
	known, err := r.known(ctx, keys)
	if err != nil {
		return err
	}
	queued := 0
	for i, m := range due {
		if known[i] {
			continue
		}
		p := outbound.Payload(m.ID, m.Instance, m.Chat, m.Text, m.Priority)
		// Another identity than the first one's, which may be archived.
		id := asynq.TaskID(fmt.Sprintf("message:send:%s:%d", m.ID, m.Attempt))
		err := tasks.Enqueue(ctx, r.Client, p, id)
		if errors.Is(err, tasks.ErrInvalid) { // one such row must not hold up the others
			r.Log.LogAttrs(ctx, slog.LevelError, "message.unqueueable", slog.String("message_id", m.ID.String()), slog.Any("error", err))
			continue
		}
		if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
		queued++
	}
	r.count("message", queued)
	return nil
}

// messageTasks returns the keys of every task that may carry a message.
func messageTasks(m db.DueHeadsRow) []string {
	queue, id := tasks.QueueOf(string(m.Priority)), m.ID.String()
	keys := []string{
		taskKey(queue, "message:send:"+id),
		taskKey(queue, fmt.Sprintf("message:send:%s:%d", id, m.Attempt)),
	}
	if m.TaskBatch != nil && m.Attempt == 0 {
		keys = append(keys, taskKey(queue, "messages:send:"+m.TaskBatch.String()))
	}
	if m.IdempotencyKey != nil {
		keys = append(keys, taskKey(queue, "message:send:"+m.Instance+":"+*m.IdempotencyKey))
	}
	return keys
}

func (r *Relay) relayEvents(ctx context.Context, patience time.Duration) error {
	q := db.New(r.Pool)
	for range sweepPages {
		rows, err := q.OverdueEvents(ctx, db.OverdueEventsParams{
			ReceivedBefore: time.Now().Add(-max(patience, grace)), AfterAt: r.events.at, AfterID: r.events.id, MaxRows: sweepPage,
		})
		if err != nil {
			return fmt.Errorf("list overdue events: %w", err)
		}
		if err := r.queueEvents(ctx, rows); err != nil {
			return err
		}
		if len(rows) < sweepPage {
			r.events = eventPosition{}
			return nil
		}
		last := rows[len(rows)-1]
		r.events = eventPosition{last.ReceivedAt, last.ID}
	}
	return nil
}

func (r *Relay) queueEvents(ctx context.Context, rows []db.OverdueEventsRow) error {
	keys := make([][]string, len(rows))
	for i, e := range rows {
		id := "gateway:event:" + e.ID.String()
		keys[i] = []string{taskKey(tasks.QueueInbound, id), taskKey(tasks.QueueInbound, id+":again")}
		if e.TaskBatch != nil {
			keys[i] = append(keys[i], taskKey(tasks.QueueInbound, "gateway:events:"+e.TaskBatch.String()))
		}
	}
	known, err := r.known(ctx, keys)
	if err != nil {
		return err
	}
	queued := 0
	for i, e := range rows {
		if known[i] {
			continue
		}
		p := tasks.GatewayEvent{ID: e.ID.String(), Instance: e.Instance, Event: e.Event}
		id := asynq.TaskID(fmt.Sprintf("gateway:event:%s:swept:%d", e.ID, time.Now().Unix()/60))
		if err := tasks.Enqueue(ctx, r.Client, p, id); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
		queued++
	}
	r.count("event", queued)
	return nil
}

// taskKey is where asynq 0.26 keeps a task. The Inspector would answer the same
// question with a round trip for each task.
func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }

// known reports for each list of tasks whether Redis holds one that will still
// run.
func (r *Relay) known(ctx context.Context, lists [][]string) ([]bool, error) {
	out := make([]bool, len(lists))
	if len(lists) == 0 {
		return out, nil
	}
	pipe := r.Redis.Pipeline()
	states := make([][]*redis.StringCmd, len(lists))
	for i, keys := range lists {
		for _, k := range keys {
			states[i] = append(states[i], pipe.HGet(ctx, k, "state"))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ask Redis for tasks: %w", err)
	}
	for i := range lists {
		for _, s := range states[i] {
			switch s.Val() {
			case "pending", "active", "scheduled", "retry", "aggregating":
				out[i] = true
			}
		}
	}
	return out, nil
}

func (r *Relay) count(kind string, n int) {
	if n > 0 {
		r.Metrics.swept.WithLabelValues(kind).Add(float64(min(n, math.MaxInt32)))
	}
}
