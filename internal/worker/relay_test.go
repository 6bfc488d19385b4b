package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/internal/worker"
	"github.com/msgorch/msgorch/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is what the relay has on its own, without being woken.
const patience = 2 * time.Second

// yard is a relay with a database and a Redis of its own, and the instance
// "sales".
type yard struct {
	*worker.Relay
	pool      *pgxpool.Pool
	rdb       *redis.Client
	client    *asynq.Client
	inspector *asynq.Inspector
}

func newYard(t *testing.T) yard {
	t.Helper()
	url := testenv.Redis(t)
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	y := yard{pool: testenv.Pool(t), rdb: redis.NewClient(opt), client: testenv.Client(t, url), inspector: asynq.NewInspector(testenv.RedisOpt(t, url))}
	t.Cleanup(func() { _ = y.inspector.Close(); y.rdb.Close() })
	y.Relay = y.another()
	y.exec(t, "INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox')")
	return y
}

// another returns a relay on the same servers.
func (y yard) another() *worker.Relay {
	return worker.NewRelay(worker.RelayConfig{
		Pool: y.pool, Client: y.client, Redis: y.rdb, Metrics: worker.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
}

func (y yard) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := y.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// message is a row to be stored. Zero fields mean: queued, default priority, a
// chat of its own, due now.
type message struct {
	chat     string
	status   string
	priority string
	due      time.Duration // from now
	batch    *uuid.UUID
	key      *string
	sendAt   bool // it was scheduled for the time it is due
	lease    time.Duration
}

func (y yard) store(t *testing.T, m message) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	attempt := 0
	if m.status == "sending" {
		attempt = 1
	}
	var lease *time.Time
	if m.lease != 0 {
		at := time.Now().Add(m.lease)
		lease = &at
	}
	due := time.Now().Add(m.due)
	var sendAt *time.Time
	if m.sendAt {
		sendAt = &due
	}
	y.exec(t, `WITH known AS (
			SELECT id FROM chats WHERE instance_id = 1 AND jid = $2
		), made AS (
			INSERT INTO chats (instance_id, jid) SELECT 1, $2 WHERE NOT EXISTS (SELECT FROM known) RETURNING id
		), chat AS (
			SELECT id FROM known UNION ALL SELECT id FROM made
		)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, priority, next_attempt_at, send_at, task_batch,
		                      idempotency_key, attempt, lease_until, created_at, history)
		SELECT $1, 1, id, 'outbound', $3::message_status, 'text', 'Hola', $4::message_priority, $5, $6, $7, $8, $9, $10, now(),
		       jsonb_build_array(jsonb_build_object('status', $3::text, 'at', now() - interval '90 seconds')) FROM chat`,
		id, or(m.chat, fmt.Sprintf("%d@lid", 1e15+rand.Int64N(1e15))), or(m.status, "queued"), or(m.priority, "default"), due, sendAt, m.batch, m.key, attempt, lease)
	return id
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (y yard) sweep(t *testing.T, patience time.Duration) {
	t.Helper()
	if err := y.Sweep(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
}

// queued returns how many tasks of one message each message has that will run.
func (y yard) queued(t *testing.T) map[uuid.UUID]int {
	t.Helper()
	count := map[uuid.UUID]int{}
	for _, queue := range []string{"critical", "default", "bulk"} {
		for _, task := range y.pending(t, queue) {
			var m tasks.SendMessage
			if task.Type != "message:send" {
				continue
			}
			if err := json.Unmarshal(task.Payload, &m); err != nil {
				t.Fatal(err)
			}
			if err := m.Validate(); err != nil || tasks.QueueOf(m.Priority) != queue || m.Instance != "sales" {
				t.Errorf("the queue %s has %s: %v", queue, task.Payload, err)
			}
			count[uuid.MustParse(m.ID)]++
		}
	}
	return count
}

func (y yard) pending(t *testing.T, queue string) []*asynq.TaskInfo {
	t.Helper()
	list, err := y.inspector.ListPendingTasks(queue, asynq.PageSize(1000))
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		t.Fatal(err)
	}
	return list
}

func (y yard) enqueue(t *testing.T, p tasks.Payload, opts ...asynq.Option) {
	t.Helper()
	if err := tasks.Enqueue(t.Context(), y.client, p, opts...); err != nil {
		t.Fatal(err)
	}
}

func payload(id uuid.UUID) tasks.SendMessage {
	return tasks.SendMessage{ID: id.String(), Instance: "sales", To: "5215550000001", Text: "Hola"}
}

func TestARowWithoutATaskIsQueued(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	want := map[uuid.UUID]int{}
	for _, priority := range []string{"critical", "default", "bulk"} {
		want[y.store(t, message{priority: priority, due: -time.Minute})] = 1
	}
	for range 3 { // once is enough
		y.sweep(t, patience)
	}
	if diff := cmp.Diff(want, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func TestAYoungRowIsLeftToWhoeverStoredItUnlessTheRelayIsWoken(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{})
	y.sweep(t, time.Hour)
	if got := y.queued(t); len(got) != 0 {
		t.Fatalf("queued %v, want nothing yet", got)
	}
	y.sweep(t, 0)
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued when woken (-want +got):\n%s", diff)
	}
}

func TestRunSweepsWhenItIsWokenAndByItself(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { y.Run(ctx) })
	defer running.Wait()
	defer cancel()
	first := y.store(t, message{})
	y.Wake()
	eventually(t, func() bool { return y.queued(t)[first] == 1 })
	second := y.store(t, message{})
	eventually(t, func() bool { return y.queued(t)[second] == 1 })
}

// eventually polls until done, for as long as a test may take.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	patience := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatal("it did not happen within a minute")
		}
	}
}

func TestARowWhoseTaskIsThereIsNotQueuedAgain(t *testing.T) {
	t.Parallel()
	key := "order-1042"
	batch := uuid.New()
	own := func(id uuid.UUID) tasks.Payload { return payload(id) }
	tests := []struct {
		name string
		row  message
		task func(uuid.UUID) tasks.Payload
		opts []asynq.Option
		then func(yard, *testing.T)
	}{
		{name: "pending", task: own},
		{name: "scheduled", task: own, opts: []asynq.Option{asynq.ProcessIn(time.Hour)}},
		{name: "waiting for a retry", task: own, then: yard.failOnce},
		{name: "being worked on", row: message{due: -3 * time.Second}, task: own, then: yard.holdOn},
		{name: "of its batch", row: message{batch: &batch}, task: func(id uuid.UUID) tasks.Payload {
			return tasks.SendMessages{Batch: batch.String(), Messages: []tasks.SendMessage{payload(id)}}
		}},
		{name: "of the program that named it", row: message{key: &key}, task: func(id uuid.UUID) tasks.Payload {
			m := payload(id)
			m.ID, m.Key = "", key
			return m
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			var before []string
			for began := (time.Time{}); before == nil || tt.row.due != 0 && time.Since(began) > time.Second; { // on a busy machine it is late by then
				row := tt.row
				if row.due == 0 {
					row.due = -time.Minute
				}
				id := y.store(t, row)
				y.enqueue(t, tt.task(id), tt.opts...)
				if tt.then != nil {
					tt.then(y, t)
				}
				before = y.tasks(t)
				began = time.Now()
				y.exec(t, "UPDATE messages SET next_attempt_at = now() + $1::interval WHERE id = $2", row.due, id)
				y.sweep(t, patience)
				y.sweep(t, 0)
			}

			if diff := cmp.Diff(before, y.tasks(t)); diff != "" {
				t.Errorf("tasks (-before +after):\n%s", diff)
			}
		})
	}
}

// tasks returns the keys of all tasks in Redis.
func (y yard) tasks(t *testing.T) []string {
	t.Helper()
	keys, err := y.rdb.Keys(t.Context(), "asynq:{*}:t:*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("tasks = %v, %v", keys, err)
	}
	slices.Sort(keys)
	return keys
}

// failOnce runs what is pending and fails it.
func (y yard) failOnce(t *testing.T) {
	t.Helper()
	failed := make(chan struct{})
	srv := y.server()
	if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { close(failed); return errors.New("not now") })); err != nil {
		t.Fatal(err)
	}
	<-failed
	srv.Shutdown()
	if list, err := y.inspector.ListRetryTasks("default"); err != nil || len(list) != 1 {
		t.Fatalf("%d tasks wait for a retry, %v", len(list), err)
	}
}

// holdOn runs what is pending until the test ends.
func (y yard) holdOn(t *testing.T) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	srv := y.server()
	if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { close(begun); <-end; return nil })); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(end); srv.Shutdown() })
	<-begun
}

func (y yard) server() *asynq.Server {
	return asynq.NewServerFromRedisClient(y.rdb, asynq.Config{
		Concurrency: 1, LogLevel: asynq.FatalLevel, TaskCheckInterval: 5 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
}

// Its identity is taken for as long as asynq keeps it.
func TestAnArchivedTaskDoesNotCount(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	y.enqueue(t, payload(id))
	if err := y.inspector.ArchiveTask("default", "message:send:"+id.String()); err != nil {
		t.Fatal(err)
	}
	y.sweep(t, patience)
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func TestOnlyTheHeadOfAChatThatMayBeSentIsQueued(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	want := map[uuid.UUID]int{}
	want[y.store(t, message{chat: "10001@lid", due: -time.Minute})] = 1
	y.store(t, message{chat: "10001@lid", due: -time.Minute}) // behind it
	y.store(t, message{chat: "10002@lid", due: time.Hour})    // waits for its retry
	y.store(t, message{chat: "10002@lid", due: -time.Minute}) // and so does this
	y.store(t, message{chat: "10003@lid", status: "sending", lease: time.Minute, due: -time.Minute})
	y.store(t, message{chat: "10003@lid", due: -time.Minute})
	want[y.store(t, message{chat: "10004@lid", status: "unknown", due: -time.Minute})] = 1 // its gateway is to be asked
	y.store(t, message{chat: "10004@lid", due: -time.Minute})
	held := y.store(t, message{chat: "10006@lid", status: "unknown", due: -time.Minute})
	y.exec(t, "UPDATE messages SET next_attempt_at = NULL WHERE id = $1", held)
	want[y.store(t, message{chat: "10006@lid", due: -time.Minute})] = 1 // what a person must decide holds nobody up
	y.store(t, message{chat: "10005@lid", status: "scheduled", due: time.Hour, sendAt: true})
	want[y.store(t, message{chat: "10005@lid", due: -time.Minute})] = 1
	y.sweep(t, patience)
	if diff := cmp.Diff(want, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

// Such as one that was typed on the phone, and is to be sent again.
func TestARowThatCannotBeATaskDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.store(t, message{chat: "status@broadcast", due: -2 * time.Minute})
	wordless := y.store(t, message{chat: "10001@lid", due: -2 * time.Minute}) // its row says what it holds
	y.exec(t, "UPDATE messages SET text = NULL, type = 'image' WHERE id = $1", wordless)
	id := y.store(t, message{due: -time.Minute})
	event := y.event(t, "pending", time.Minute, nil)
	y.sweep(t, patience)
	if diff := cmp.Diff(map[uuid.UUID]int{wordless: 1, id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{event.String(): 1}, y.events(t)); diff != "" {
		t.Errorf("events queued (-want +got):\n%s", diff)
	}
}

func TestAMessageOfAPausedInstanceWaits(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	y.exec(t, "UPDATE instances SET paused_at = now()")
	y.sweep(t, 0)
	if got := y.queued(t); len(got) != 0 {
		t.Errorf("queued %v, want nothing", got)
	}
	y.exec(t, "UPDATE instances SET paused_at = NULL")
	y.sweep(t, 0)
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued after it was resumed (-want +got):\n%s", diff)
	}
}

func TestAScheduledMessageIsQueuedWhenItIsDue(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{status: "scheduled", due: time.Hour, sendAt: true})
	y.sweep(t, patience)
	if got := y.queued(t); len(got) != 0 {
		t.Fatalf("queued %v before it was due", got)
	}
	y.exec(t, "UPDATE messages SET send_at = now(), next_attempt_at = now()")
	y.sweep(t, time.Hour) // nobody else tells Redis, so there is nothing to be patient for
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued when it was due (-want +got):\n%s", diff)
	}
}

// A worker that lives claims what it holds at once.
func TestARowThatNobodyClaimsIsQueuedAgainWhileItsTaskHangs(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	y.enqueue(t, payload(id))
	y.holdOn(t)
	for range 3 {
		y.sweep(t, patience)
	}
	if got := len(y.tasks(t)); got != 2 {
		t.Errorf("%d tasks carry it, want the hanging one and one more", got)
	}
}

func TestATaskThatNobodyHoldsIsDropped(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	y.enqueue(t, payload(id))
	y.holdOn(t)
	if err := y.rdb.Del(t.Context(), "asynq:{default}:lease").Err(); err != nil {
		t.Fatal(err)
	}
	y.sweep(t, patience)
	if active, err := y.rdb.LLen(t.Context(), "asynq:{default}:active").Result(); err != nil || active != 0 {
		t.Errorf("%d tasks are active without a lease, %v", active, err)
	}
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func TestWhatALostWorkerWasSendingIsInDoubtAndItsGatewayIsAsked(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	lost := y.store(t, message{chat: "10001@lid", status: "sending", lease: -time.Second, due: -time.Minute})
	y.store(t, message{chat: "10001@lid", due: -time.Minute})
	alive := y.store(t, message{chat: "10002@lid", status: "sending", lease: time.Minute, due: -time.Minute})
	for range 3 {
		y.sweep(t, 0)
	}
	q := db.New(y.pool)
	row, err := q.MessageDetail(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	m := testenv.Message(t, y.pool, lost)
	if m.Status != db.MessageStatusUnknown || m.LeaseUntil != nil || m.SettledAt != nil || m.ErrorCode == nil || *m.ErrorCode != "worker_lost" {
		t.Errorf("row = %s, leased until %v, settled %v, %v, want in doubt because the worker was lost", m.Status, m.LeaseUntil, m.SettledAt, m.ErrorCode)
	}
	if !strings.Contains(string(m.History), `"unknown"`) {
		t.Errorf("history = %s, want it to tell", m.History)
	}
	var attempts []struct {
		Outcome    string `json:"outcome"`
		Code       string `json:"code"`
		DurationMS int    `json:"duration_ms"`
	}
	err = json.Unmarshal(row.Attempts, &attempts)
	if err != nil || len(attempts) != 1 || attempts[0].Outcome != "in_doubt" || attempts[0].Code != "worker_lost" || attempts[0].DurationMS < 80_000 {
		t.Errorf("attempts = %+v, %v, want one that was alive for almost a minute and a half", attempts, err)
	}
	if row, err := q.MessageDetail(t.Context(), alive); err != nil || row.ShownMessage.Status != db.MessageStatusSending {
		t.Errorf("a message with a lease is %s, %v, want sending", row.ShownMessage.Status, err)
	}
	if diff := cmp.Diff(map[uuid.UUID]int{lost: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
	heads, err := q.ClaimHeads(t.Context(), db.ClaimHeadsParams{Ids: []uuid.UUID{lost}, Lease: time.Minute})
	if err != nil || len(heads) != 1 || heads[0].ID != lost || heads[0].Status != db.MessageStatusUnknown || heads[0].Attempt != 1 {
		t.Errorf("claimed %+v, %v, want the one in doubt, to be asked about and not sent", heads, err)
	}
	if heads, err := q.ClaimHeads(t.Context(), db.ClaimHeadsParams{Ids: []uuid.UUID{lost}, Lease: time.Minute}); err != nil || len(heads) != 0 {
		t.Errorf("claimed %+v, %v, want nothing while somebody asks", heads, err)
	}
}

func TestTwoRelaysTakeTurns(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	holder, err := y.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release()
	const lock = 7_305_812_942
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(lock)); err != nil { // as another worker does
		t.Fatal(err)
	}
	y.sweep(t, 0)
	if got := y.queued(t); len(got) != 0 {
		t.Errorf("queued %v while another worker is at it, want nothing", got)
	}
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", int64(lock)); err != nil {
		t.Fatal(err)
	}
	var sweeps sync.WaitGroup
	for range 6 {
		sweeps.Go(func() {
			if err := y.another().Sweep(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
	sweeps.Wait()
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
	var locks int
	if err := y.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&locks); err != nil || locks != 0 {
		t.Errorf("%d locks are left, %v, want 0", locks, err)
	}
}

// Everything that Redis knew is gone, and clients never tell it a queue's name
// twice.
func TestAfterAFlushEverythingIsQueuedAndSeenAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{due: -time.Minute})
	y.sweep(t, 0)
	if err := y.rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	y.sweep(t, 0)
	got, err := y.inspector.Queues()
	if err != nil {
		t.Fatal(err)
	}
	want := tasks.Queues()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("queues (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uuid.UUID]int{id: 1}, y.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func TestEarlyEvidenceIsFolded(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.store(t, message{status: "sending", lease: time.Minute, due: -time.Minute})
	y.exec(t, "INSERT INTO early_evidence (instance_id, gateway_message_id, status, at) VALUES (1, 'GW', 'delivered', now())")
	y.exec(t, "UPDATE messages SET status = 'accepted', accepted_at = now(), settled_at = now(), lease_until = NULL, gateway_message_id = 'GW'")
	y.sweep(t, patience)
	if row, err := db.New(y.pool).MessageDetail(t.Context(), id); err != nil || row.ShownMessage.Status != db.MessageStatusDelivered {
		t.Errorf("status = %s, %v, want delivered", row.ShownMessage.Status, err)
	}
}

func (y yard) event(t *testing.T, state string, age time.Duration, batch *uuid.UUID) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	y.exec(t, `INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state, received_at, task_batch)
		VALUES ($1, 1, 'messages.upsert', '{}', $2, $3::event_state, $4, $5)`, id, id[:], state, time.Now().Add(-age), batch)
	return id
}

func TestAnEventWithoutATaskIsQueued(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	batch := uuid.New()
	lost := y.event(t, "pending", time.Minute, nil)
	lostOfBatch := y.event(t, "pending", time.Minute, &batch)
	y.event(t, "pending", 0, nil) // young
	y.event(t, "applied", time.Minute, nil)
	y.event(t, "quarantined", time.Minute, nil)
	known := y.event(t, "pending", time.Minute, nil)
	y.enqueue(t, tasks.GatewayEvent{ID: known.String()})
	again := y.event(t, "pending", time.Minute, nil)
	y.enqueue(t, tasks.GatewayEvent{ID: again.String()}, asynq.TaskID("gateway:event:"+again.String()+":again"))
	other := uuid.New()
	together := y.event(t, "pending", time.Minute, &other)
	y.enqueue(t, tasks.GatewayEvents{Batch: other.String(), Events: []tasks.GatewayEvent{{ID: together.String()}}})
	archived := y.event(t, "pending", time.Minute, nil)
	y.enqueue(t, tasks.GatewayEvent{ID: archived.String()})
	if err := y.inspector.ArchiveTask("inbound", "gateway:event:"+archived.String()); err != nil {
		t.Fatal(err)
	}

	y.sweep(t, patience)

	want := map[string]int{lost.String(): 1, lostOfBatch.String(): 1, known.String(): 1, again.String(): 1, archived.String(): 1}
	if diff := cmp.Diff(want, y.events(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func (y yard) events(t *testing.T) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, task := range y.pending(t, "inbound") {
		var e tasks.GatewayEvent
		if task.Type != "gateway:event" {
			continue
		}
		if err := json.Unmarshal(task.Payload, &e); err != nil {
			t.Fatal(err)
		}
		got[e.ID]++
	}
	return got
}

func TestWithoutRedisASweepStillRepairs(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	dead := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer dead.Close()
	relay := worker.NewRelay(worker.RelayConfig{
		Pool: y.pool, Client: asynq.NewClientFromRedisClient(dead), Redis: dead,
		Metrics: worker.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	id := y.store(t, message{status: "sending", lease: -time.Second, due: -time.Minute})
	if err := relay.Sweep(t.Context(), 0); err == nil {
		t.Error("no error, and Redis is away")
	}
	if row, err := db.New(y.pool).MessageDetail(t.Context(), id); err != nil || row.ShownMessage.Status != db.MessageStatusUnknown {
		t.Errorf("status = %s, %v, want unknown", row.ShownMessage.Status, err)
	}
}

// A backlog that Redis knows of must not hide what it has lost.
func TestALongBacklogIsSweptToItsEnd(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.exec(t, "INSERT INTO chats (instance_id, jid) SELECT 1, (5215550000000 + n) || '@s.whatsapp.net' FROM generate_series(1, 1200) n")
	y.exec(t, `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, next_attempt_at, created_at)
		SELECT gen_random_uuid(), 1, id, 'outbound', 'queued', 'text', 'Hola', now() - interval '1 hour', now() FROM chats`)
	y.sweep(t, patience)
	total := 0
	for page := 1; page <= 2; page++ {
		list, err := y.inspector.ListPendingTasks("default", asynq.PageSize(1000), asynq.Page(page))
		if err != nil {
			t.Fatal(err)
		}
		total += len(list)
	}
	if total != 1200 {
		t.Errorf("%d are queued, want 1200", total)
	}
}
