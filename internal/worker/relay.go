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
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/tasks"
)

const (
	sweepInterval = time.Second
	sweepLeast    = 50 * time.Millisecond // between two sweeps, when a scheduled message is due sooner than the next
	// sweepShare is how much longer than a sweep that found a long backlog the pause
	// after it is at least: a sweep reads all that is due, and that must not cost
	// PostgreSQL a core. One that found little may be slow because everything is; then
	// what is lost must not wait for long. Nor does any count for more than
	// sweepLongest.
	sweepShare   = 5
	sweepLongest = time.Second
	sweepTimeout = 20 * time.Second
	sweepPage    = 500
	sweepPages   = 20 // of each kind in one sweep; the next goes on where this one stopped
	// grace is how old a row is before Redis is asked whether it knows of it:
	// an accept tells Redis within milliseconds.
	grace = 2 * time.Second
	// activePatience is how long a row may stay unclaimed while a task of it is
	// active; againEvery is how often the relay then brings it back.
	activePatience = 4 * time.Second
	againEvery     = 10 * time.Second
	orphansEvery   = 15 * time.Second
	idleMost       = 30 * time.Second // without a sweep
	purgeEvery     = 15 * time.Minute // the task of one hour is queued once
	watchMost      = time.Minute      // between two looks for reports that are overdue
	reconcileAgain = 30 * time.Second // before an instance is asked for again whose task may be lost
	reconcileMost  = 100              // instances in one sweep
	earlyWindow    = 2 * time.Minute
)

// Relay tells Redis of rows that it does not know of: stored in a caller's
// transaction, due now, or forgotten by Redis. Every worker has one; they take
// turns under an advisory lock. Make it with NewRelay.
type Relay struct {
	RelayConfig
	woken chan struct{}

	messages messagePosition
	events   eventPosition
	files    eventPosition
	purged   time.Time
	watched  time.Time
	swept    time.Time // when it last swept whether there was a reason or not
	orphans  time.Time
	folded   time.Time
	found    int       // rows that the last sweep has looked at
	next     time.Time // when the next scheduled message is due; zero: none is known
}

// RelayConfig is what a Relay needs. All fields are required but the durations.
type RelayConfig struct {
	Pool    *pgxpool.Pool
	Client  *asynq.Client
	Redis   redis.UniversalClient
	Metrics *Metrics
	Log     *slog.Logger

	AckPatience    time.Duration // how long a gateway's report may take; 0: nobody looks
	ReconcileEvery time.Duration // between two comparisons of an instance with its gateway; 0: none
	ReconcileGrace time.Duration // how long a webhook may be on its way
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

// Run sweeps every second, when a scheduled message is due, and when it is
// woken, until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	timer := time.NewTimer(sweepInterval)
	defer timer.Stop()
	var took time.Duration
	for {
		wait := max(sweepInterval, sweepShare*took)
		if !r.next.IsZero() {
			wait = min(wait, max(time.Until(r.next), sweepLeast))
		}
		timer.Reset(wait)
		patience := grace
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if r.idle(ctx) {
				took, r.next = 0, time.Time{}
				r.complain(ctx, r.askForUpkeep(ctx))
				continue
			}
		case <-r.woken:
			patience = 0
		}
		start := time.Now()
		err := errors.Join(r.Sweep(ctx, patience), r.askForUpkeep(ctx))
		took = min(time.Since(start), sweepLongest)
		if r.found < sweepPage {
			took = 0
		}
		if err != nil {
			took = 0 // it waited for a server, not for rows
		}
		r.complain(ctx, err)
	}
}

func (r *Relay) complain(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.Log.LogAttrs(ctx, slog.LevelWarn, "relay.failed", slog.Any("error", err))
	}
}

// idle reports whether there is nothing to sweep. Once in a while it does not ask.
func (r *Relay) idle(ctx context.Context) bool {
	most := idleMost
	if r.ReconcileEvery > 0 { // a comparison is due at a time, for no other reason
		most = min(most, r.ReconcileEvery)
	}
	if time.Since(r.swept) > most {
		r.swept = time.Now()
		return false
	}
	anything, err := db.New(r.Pool).AnythingOpen(ctx, time.Now().Add(-earlyWindow))
	return err == nil && !anything
}

// askForUpkeep queues what is due from time to time.
func (r *Relay) askForUpkeep(ctx context.Context) error {
	return errors.Join(r.askToPurge(ctx), r.askToWatch(ctx))
}

// askToWatch queues the task that looks for reports that are overdue: often
// enough that none waits for much longer than it must.
func (r *Relay) askToWatch(ctx context.Context) error {
	every := max(min(r.AckPatience/4, watchMost), time.Second)
	if r.AckPatience == 0 || time.Since(r.watched) < every {
		return nil
	}
	err := tasks.Enqueue(ctx, r.Client, tasks.WatchAcks{Due: time.Now().Truncate(every)})
	if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
		return err
	}
	r.watched = time.Now()
	return nil
}

// askToPurge queues the hour's task that deletes what is old.
func (r *Relay) askToPurge(ctx context.Context) error {
	if time.Since(r.purged) < purgeEvery {
		return nil
	}
	err := tasks.Enqueue(ctx, r.Client, tasks.Purge{Due: time.Now()})
	if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
		return err
	}
	r.purged = time.Now()
	return nil
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
	lock := db.New(conn)
	mine, err := lock.TryLockRelay(ctx)
	if err != nil {
		return fmt.Errorf("lock relay: %w", err)
	}
	r.next, r.found = time.Time{}, 0
	if !mine {
		return nil
	}
	defer func() {
		unlocking, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		if lock.UnlockRelay(unlocking) != nil {
			_ = conn.Conn().Close(unlocking) // the lock ends with its session
		}
	}()
	return errors.Join(r.repair(ctx), r.relay(ctx, patience))
}

// repair does what needs PostgreSQL alone.
func (r *Relay) repair(ctx context.Context) error {
	q := db.New(r.Pool)
	lost, err := q.AbandonExpiredLeases(ctx, db.AbandonExpiredLeasesParams{Lease: outbound.LeaseTime, MaxRows: sweepPage})
	if err != nil {
		return fmt.Errorf("abandon leases: %w", err)
	}
	for _, id := range lost {
		r.Log.LogAttrs(ctx, slog.LevelWarn, "message.in_doubt", slog.String("message_id", id.String()), slog.String("code", "worker_lost"))
	}
	r.count("lease_expired", len(lost))
	expired, err := q.ExpireMessages(ctx, sweepPage)
	if err != nil {
		return fmt.Errorf("expire messages: %w", err)
	}
	for _, id := range expired {
		r.Log.LogAttrs(ctx, slog.LevelDebug, "message.expired", slog.String("message_id", id.String()))
	}
	r.count("expired", len(expired))
	since := time.Now().Add(-earlyWindow) // what is older has met its row, or waits for one that may never come
	if time.Since(r.folded) > earlyWindow/2 {
		since, r.folded = time.Time{}, time.Now()
	}
	met, err := db.FoldEarly(ctx, r.Pool, since, sweepPage)
	if err != nil {
		return err
	}
	r.count("early_evidence", met)
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
	if time.Since(r.orphans) > orphansEvery {
		r.orphans = time.Now()
		if err := r.dropOrphans(ctx); err != nil {
			return err
		}
	}
	if err := r.relayProbes(ctx); err != nil {
		return err
	}
	if err := r.relayMerges(ctx, patience); err != nil {
		return err
	}
	if err := r.relayReconciles(ctx); err != nil {
		return err
	}
	if err := r.relayReads(ctx, patience); err != nil {
		return err
	}
	if err := r.relayPaced(ctx); err != nil {
		return err
	}
	if err := r.relayMessages(ctx, patience); err != nil {
		return err
	}
	next, err := db.New(r.Pool).NextScheduled(ctx)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find next scheduled message: %w", err)
	}
	r.next = next
	return errors.Join(r.relayEvents(ctx, patience), r.relayFiles(ctx, patience))
}

// relayProbes has the gateways of instances asked that a refusal paused.
func (r *Relay) relayProbes(ctx context.Context) error {
	names, err := db.New(r.Pool).DueProbes(ctx, outbound.ProbeEvery)
	if err != nil {
		return fmt.Errorf("list due probes: %w", err)
	}
	for _, name := range names {
		p := tasks.ProbeInstance{Instance: name, Due: time.Now()}
		if err := tasks.Enqueue(ctx, r.Client, p); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
	}
	r.count("probe", len(names))
	return nil
}

// relayMerges has chats made one that are known to be one person's.
func (r *Relay) relayMerges(ctx context.Context, patience time.Duration) error {
	rows, err := db.New(r.Pool).DueMerges(ctx, db.DueMergesParams{AskedBefore: time.Now().Add(-patience), MaxRows: sweepPage})
	if err != nil {
		return fmt.Errorf("list chats to merge: %w", err)
	}
	for _, row := range rows {
		t := tasks.MergeChats{Instance: row.Instance, Chat: row.ChatID, Due: time.Now()}
		if err := tasks.Enqueue(ctx, r.Client, t); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
	}
	r.count("merge", len(rows))
	return nil
}

// relayReconciles has instances compared with what their gateways have written
// down.
func (r *Relay) relayReconciles(ctx context.Context) error {
	if r.ReconcileEvery == 0 {
		return nil
	}
	names, err := db.New(r.Pool).DueReconciles(ctx, db.DueReconcilesParams{
		Again: reconcileAgain, Every: r.ReconcileEvery, Grace: r.ReconcileGrace, MaxRows: reconcileMost,
	})
	if err != nil {
		return fmt.Errorf("list instances to compare: %w", err)
	}
	for _, name := range names {
		p := tasks.ReconcileInstance{Instance: name, Due: time.Now()}
		if err := tasks.Enqueue(ctx, r.Client, p); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
	}
	r.count("reconcile", len(names))
	return nil
}

// relayPaced has a worker look after each paced instance whose slot has come:
// one message of it is enough, because the worker looks for the rest itself.
func (r *Relay) relayPaced(ctx context.Context) error {
	rows, err := db.New(r.Pool).DuePaced(ctx, sweepPage)
	if err != nil {
		return fmt.Errorf("list paced messages: %w", err)
	}
	heads := make([]db.DueHeadsRow, len(rows))
	for i, row := range rows {
		heads[i] = db.DueHeadsRow(row)
	}
	return r.queueMessages(ctx, heads, 0)
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
	r.found += len(rows)
	due := rows[:0:0]
	var lost []search
	for _, m := range rows {
		late := time.Since(m.NextAttemptAt)
		if m.Status == db.MessageStatusQueued && m.SendAt == nil && late < patience {
			continue
		}
		due = append(due, m)
		lost = append(lost, search{queue: tasks.QueueOf(string(m.Priority)), ids: messageTasks(m), late: late})
	}
	known, err := r.known(ctx, lost)
	if err != nil {
		return err
	}
	var unknown []uuid.UUID
	for i, m := range due {
		if !known[i] {
			unknown = append(unknown, m.ID)
		}
	}
	if len(unknown) > 0 {
		if err := db.New(r.Pool).BumpChats(ctx, unknown); err != nil {
			return fmt.Errorf("bump chats: %w", err)
		}
	}
	queued := 0
	for i, m := range due {
		if known[i] {
			continue
		}
		p := outbound.Payload(m.ID, m.Instance, m.Chat, m.Text, m.Priority)
		id := asynq.TaskID(again(fmt.Sprintf("message:send:%s:%d", m.ID, m.Attempt), lost[i].late))
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

// messageTasks returns every task that may carry a message: the one it was
// accepted with, the one it is tried again with, and the relay's own.
func messageTasks(m db.DueHeadsRow) []string {
	first := "message:send:" + m.ID.String()
	latest := fmt.Sprintf("%s:%d", first, m.Attempt)
	late := time.Since(m.NextAttemptAt)
	ids := []string{first, latest, again(latest, late), again(latest, late-againEvery)}
	if m.TaskBatch != nil && m.Attempt == 0 {
		ids = append(ids, "messages:send:"+m.TaskBatch.String())
	}
	if m.IdempotencyKey != nil {
		ids = append(ids, "message:send:"+m.Instance+":"+*m.IdempotencyKey)
	}
	return ids
}

// again names the task with which the relay brings back a row: another one as
// time goes on, because the last may hang with a worker that is gone.
func again(id string, late time.Duration) string {
	return fmt.Sprintf("%s:again:%d", id, max(late, 0)/againEvery)
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
	r.found += len(rows)
	lost := make([]search, len(rows))
	for i, e := range rows {
		id, late := "gateway:event:"+e.ID.String(), time.Since(e.ReceivedAt)
		lost[i] = search{queue: tasks.QueueInbound, late: late, ids: []string{id, id + ":again", again(id, late), again(id, late-againEvery)}}
		if e.TaskBatch != nil {
			batch := "gateway:events:" + e.TaskBatch.String()
			lost[i].ids = append(lost[i].ids, batch, batch+":messages")
		}
	}
	known, err := r.known(ctx, lost)
	if err != nil {
		return err
	}
	queued := 0
	for i, e := range rows {
		if known[i] {
			continue
		}
		p := tasks.GatewayEvent{ID: e.ID.String(), Instance: e.Instance, Event: e.Event}
		id := asynq.TaskID(again("gateway:event:"+p.ID, lost[i].late))
		if err := tasks.Enqueue(ctx, r.Client, p, id); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
		queued++
	}
	r.count("event", queued)
	return nil
}

func (r *Relay) count(kind string, n int) {
	if n > 0 {
		r.Metrics.swept.WithLabelValues(kind).Add(float64(min(n, math.MaxInt32)))
	}
}
