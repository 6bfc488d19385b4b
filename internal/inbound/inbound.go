// Package inbound is the room where gateways' events arrive: stored as they
// came before anyone is told that they did, then applied to chats, messages and
// statuses by a worker.
package inbound

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/coalesce"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/tasks"
)

// How webhooks that wait at the same time share a commit.
const (
	storeWidth   = 4
	storeMax     = 200
	storeTimeout = 10 * time.Second
	// Workers apply few large chunks at a time, because two that have news of the
	// same chat go one after the other all the same.
	applyWidth   = 2
	applyMax     = 6
	applyTimeout = time.Minute
	// settling is how long a message waits to be applied, so that one which was
	// written before it and comes a little later is applied before it.
	settling = 300 * time.Millisecond
	// largeBody is where an event gets a task of its own: a worker holds the
	// bodies of all events of a task in memory.
	largeBody = 64 << 10
)

// Config is what a Service needs. All fields are required but OnQueued and OnGap.
type Config struct {
	Pool     *pgxpool.Pool
	Client   *asynq.Client
	Decoders map[string]gateway.Decoder // by the instance's gateway
	Log      *slog.Logger
	OnQueued func() // told when Redis took a task; nil: nobody is
	// OnGap hears of messages that no webhook had told of; nil: nobody does.
	OnGap func(instance string, messages int64)
}

// Service stores and applies events. It is safe for concurrent use.
type Service struct {
	c       Config
	queue   *queue.Queue
	stores  *coalesce.Group[event, Receipt]
	applies *coalesce.Group[[]uuid.UUID, []uuid.UUID] // ids of events; answered with those that must wait
}

// Receipt says what became of an event that is durable now.
type Receipt struct {
	EventID uuid.UUID
	Status  string // "accepted", "duplicate" or "quarantined"
}

// What a Receipt's Status can be.
const (
	Accepted    = "accepted"
	Duplicate   = "duplicate"
	Quarantined = "quarantined"
)

// event is an event on its way into its row.
type event struct {
	id       uuid.UUID
	instance db.Instance
	name     string
	body     []byte
	hash     [sha256.Size]byte
	state    db.EventState
	reason   string
	chat     string    // of a message that somebody sent us; empty for anything else
	written  time.Time // when it was written; zero for anything else
}

// New returns a Service.
func New(c Config) *Service {
	s := &Service{c: c}
	s.queue = queue.New(c.Client, func(err error) {
		if err != nil {
			c.Log.LogAttrs(context.Background(), slog.LevelWarn, "event.unqueued", slog.Any("error", err))
		} else if c.OnQueued != nil {
			c.OnQueued()
		}
	})
	s.stores = coalesce.New(coalesce.Options{
		Width: storeWidth, Max: storeMax, Timeout: storeTimeout,
		Split: db.Refused,
	}, s.storeBatch)
	s.applies = coalesce.New(coalesce.Options{
		Width: applyWidth, Max: applyMax, Timeout: applyTimeout,
		Split: func(err error) bool { return !db.Away(err) },
	}, s.applyBatch)
	return s
}

// Close waits until every stored event was offered to Redis, or ctx ends.
// Nothing is lost without it.
func (s *Service) Close(ctx context.Context) error { return s.queue.Close(ctx) }

// Open reads the outside of a body that a gateway of this kind posted.
func (s *Service) Open(kind string, body []byte) (gateway.Envelope, error) {
	d, ok := s.c.Decoders[kind]
	if !ok {
		return gateway.Envelope{}, fault.New(fault.Conflict, "gateway_unsupported", "This version does not hear the gateway "+kind+".")
	}
	return d.Open(body)
}

// Accept makes an event durable and leaves the work in the queue. It returns
// nil only when the event is committed. What cannot be used is kept as well,
// quarantined, for a person to look at.
func (s *Service) Accept(ctx context.Context, i db.Instance, e gateway.Envelope) (Receipt, error) {
	r, err := s.stores.Do(ctx, s.eventOf(ctx, i, e))
	if err != nil && db.Away(err) {
		return r, fault.New(fault.Unavailable, "database_unavailable", "The database is away; nothing was accepted.").
			RetryAfter(2 * time.Second).Because(err)
	}
	return r, err
}

// eventOf is the row of an event: to be applied, or quarantined because it cannot
// be used.
func (s *Service) eventOf(ctx context.Context, i db.Instance, e gateway.Envelope) event {
	in := event{
		id: uuid.Must(uuid.NewV7()), instance: i, name: e.Event,
		body: e.Body, hash: sha256.Sum256(e.Body), state: db.EventStatePending,
	}
	update, err := s.decode(i.Gateway, e.Event, e.Body)
	switch {
	case err != nil:
		in.state, in.reason = db.EventStateQuarantined, fault.Of(err).Code
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "event.quarantined", slog.String("event_id", in.id.String()),
			slog.String("instance", i.Name), slog.String("code", in.reason))
	case !update.Handled:
		in.state = db.EventStateUnhandled
	default:
		in.chat, in.written = placeOf(update)
	}
	return in
}

// placeOf returns the chat of an update that is one message somebody sent us,
// and when it was written.
func placeOf(u gateway.Update) (chat string, written time.Time) {
	if len(u.Messages) != 1 || u.Messages[0].FromMe || u.Messages[0].History {
		return "", time.Time{}
	}
	written = u.Messages[0].At
	if written.IsZero() {
		written = time.Now()
	}
	return address.Of(u.Messages[0].Chat), written.UTC()
}

func (s *Service) decode(kind, name string, body []byte) (gateway.Update, error) {
	d, ok := s.c.Decoders[kind]
	if !ok {
		return gateway.Update{}, fault.New(fault.Invalid, "gateway_unsupported", "No decoder for the gateway "+kind+".")
	}
	return d.Decode(name, body)
}

// storeBatch commits the events of everyone who waits.
func (s *Service) storeBatch(ctx context.Context, batch []event) ([]Receipt, error) {
	q := db.New(s.c.Pool)
	var p db.StoreEventsParams
	if len(batch) > 1 {
		p.TaskBatch = uuid.Must(uuid.NewV7())
	}
	for _, e := range batch {
		p.Ids = append(p.Ids, e.id)
		p.InstanceIds = append(p.InstanceIds, e.instance.ID)
		p.Events = append(p.Events, clean(e.name))
		p.Bodies = append(p.Bodies, e.body)
		p.BodyHashes = append(p.BodyHashes, e.hash[:])
		p.States = append(p.States, string(e.state))
		p.Reasons = append(p.Reasons, e.reason)
		p.Chats = append(p.Chats, e.chat)
		p.WrittenAts = append(p.WrittenAts, e.written)
	}
	stored, err := q.StoreEvents(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("store events: %w", err)
	}
	fresh := make(map[uuid.UUID]bool, len(stored))
	for _, id := range stored {
		fresh[id] = true
	}
	receipts := make([]Receipt, len(batch))
	for i, e := range batch {
		if receipts[i], err = receiptOf(ctx, q, e, fresh[e.id]); err != nil {
			return nil, err
		}
	}
	if work := tasksFor(p.TaskBatch, batch, fresh); len(work) > 0 {
		s.queue.Push(ctx, work)
	}
	return receipts, nil
}

func receiptOf(ctx context.Context, q *db.Queries, e event, fresh bool) (Receipt, error) {
	switch {
	case !fresh:
		id, err := q.EventByBody(ctx, db.EventByBodyParams{InstanceID: e.instance.ID, BodyHash: e.hash[:]})
		return Receipt{EventID: id, Status: Duplicate}, err
	case e.state == db.EventStateQuarantined:
		return Receipt{EventID: e.id, Status: Quarantined}, nil
	}
	return Receipt{EventID: e.id, Status: Accepted}, nil
}

// tasksFor returns the tasks of the events that are new and to be applied.
// Messages go apart from the rest, because they wait to settle.
func tasksFor(group uuid.UUID, batch []event, fresh map[uuid.UUID]bool) []tasks.Payload {
	var work []tasks.Payload
	together := map[bool][]tasks.GatewayEvent{}
	for _, e := range batch {
		if e.state != db.EventStatePending || !fresh[e.id] {
			continue
		}
		t := tasks.GatewayEvent{ID: e.id.String(), Instance: e.instance.Name, Event: e.name}
		settles := e.chat != ""
		if group == uuid.Nil || len(e.body) > largeBody {
			t.Settle = wait(settles)
			work = append(work, t)
			continue
		}
		together[settles] = append(together[settles], t)
	}
	for settles, events := range together {
		name := group.String()
		if settles {
			name += ":messages"
		}
		work = append(work, tasks.GatewayEvents{Batch: name, Events: events, Settle: wait(settles)})
	}
	return work
}

func wait(settles bool) time.Duration {
	if settles {
		return settling
	}
	return 0
}

// requeue gives an event that must wait a task of its own.
func (s *Service) requeue(ctx context.Context, id uuid.UUID, wait time.Duration) {
	err := tasks.Enqueue(ctx, s.c.Client, tasks.GatewayEvent{ID: id.String()},
		asynq.TaskID(fmt.Sprintf("gateway:event:%s:again", id)), asynq.ProcessIn(wait))
	if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "event.unqueued", slog.String("event_id", id.String()), slog.Any("error", err))
	}
}
