// Package outbound is the room where messages leave: stored once, sent in the
// order of their chat, with every outcome recorded.
//
// A chat is a lane. Whoever claims the head of a lane sends it, records what
// came of it, and goes on with the next, until the lane is empty or its head
// must wait. A task that finds its lane taken has nothing to do: the one who
// holds it looks for the next message after it has recorded the last, and so
// cannot miss one that was stored before the task ran.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/coalesce"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// Bounds in time.
const (
	gatewayTimeout = 20 * time.Second
	recordTimeout  = 10 * time.Second // one try of recording an outcome
	recordPatience = time.Minute      // all tries; then what the gateway said is forgotten, and asked again
	laneTime       = 30 * time.Second // then another task goes on with the lane
)

// Gateway is how to reach the instances of one kind of gateway.
type Gateway struct {
	Sender     gateway.Sender
	Finder     gateway.Finder    // nil: this kind of gateway cannot be asked what it has sent
	Prober     gateway.Prober    // nil: nor whether an instance can send
	Historian  gateway.Historian // nil: nor what it has written down
	Attendant  gateway.Attendant // nil: it shows people nothing but messages
	BaseURL    string            // of instances that name none
	Credential secret.Text       // of instances that have none
}

// Config is what a Service needs. All fields are required but Attempted and
// Stopping.
type Config struct {
	Pool     *pgxpool.Pool
	Client   *asynq.Client
	Outbox   *outbox.Outbox
	Box      *secret.Box
	Gateways map[string]Gateway // by the instance's gateway
	Log      *slog.Logger
	// Files fetches what is to be sent by its URL, of at most MaxMediaBytes.
	Files         Fetcher
	MaxMediaBytes int64
	// PerInstance is how many messages of one instance may be on the way to
	// its gateway at a time.
	PerInstance int
	// Watched is how many tasks at a time may wait for what comes of their
	// message, so that asynq tries it again and shows why. Others hand their
	// message over and end: a slow gateway must not hold every place of a worker.
	Watched int
	// Attempted hears of what came of each attempt.
	Attempted func(outcome string)
	// Stopping, when closed, makes lanes end after the message in hand.
	Stopping <-chan struct{}
}

// Service sends messages. It is safe for concurrent use.
type Service struct {
	c       Config
	claims  *coalesce.Group[[]uuid.UUID, []head]
	settles *coalesce.Group[settlement, settled]
	leases  leases
	watched chan struct{}
	larges  chan struct{} // places for large files
	reading chan struct{} // receipts on their way to gateways
	signs   signs
	work    sync.WaitGroup // lanes, pullers and signs

	mu      sync.Mutex
	lines   map[string]*line // by instance
	learned time.Time        // when it was last asked which are paced
}

// head is a claimed message: the oldest unsettled one of its chat.
type head = db.ClaimHeadsRow

// New returns a Service. Its Run must run for as long as it is used.
func New(c Config) *Service {
	s := &Service{
		c: c, lines: map[string]*line{}, watched: make(chan struct{}, c.Watched),
		larges: make(chan struct{}, largeAtOnce), reading: make(chan struct{}, max(c.Watched/2, 1)),
	}
	s.leases.held = map[uuid.UUID]lease{}
	shared := coalesce.Options{Width: 4, Max: 200, Timeout: recordTimeout}
	s.claims = coalesce.New(shared, s.claimBatch)
	shared.Split = db.Refused
	s.settles = coalesce.New(shared, s.settleBatch)
	return s
}

// Wait waits until nothing is in hand, after Stopping was closed and the last
// Send has returned, or until ctx ends.
func (s *Service) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Send handles a task that carries one message. An error means that the task
// must come back for it, or, when it is final, that the message has failed.
func (s *Service) Send(ctx context.Context, m tasks.SendMessage) error {
	id, err := s.identify(ctx, m)
	if err != nil {
		return err
	}
	l := s.line(m.Instance)
	heads, err := s.take(ctx, l, []uuid.UUID{id})
	if err != nil {
		return unavailable("claim", err)
	}
	if len(heads) == 0 {
		return nil
	}
	select {
	case s.watched <- struct{}{}:
		defer func() { <-s.watched }()
	default:
		s.start(ctx, l, heads[0], nil)
		return nil
	}
	w := watch{id: id, verdict: make(chan error, 1)}
	s.start(ctx, l, heads[0], &w)
	select {
	case err := <-w.verdict:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SendAll handles a task that carries messages which were accepted together.
// One that must be tried again gets a task of its own, so that no message holds
// its neighbours.
func (s *Service) SendAll(ctx context.Context, b tasks.SendMessages) error {
	ids := map[string][]uuid.UUID{}
	for _, m := range b.Messages {
		id, err := uuid.Parse(m.ID)
		if err != nil {
			return fault.New(fault.Invalid, "invalid_id", "The task holds a message whose id is no UUID.")
		}
		ids[m.Instance] = append(ids[m.Instance], id)
	}
	for instance, ids := range ids {
		l := s.line(instance)
		heads, err := s.take(ctx, l, ids)
		if err != nil {
			return unavailable("claim", err)
		}
		for _, h := range heads {
			s.start(ctx, l, h, nil)
		}
	}
	return nil
}

// take claims the heads of the chats of messages, as many as may be in hand. What
// it leaves is pulled: when there is room, or in the slots of a paced instance.
func (s *Service) take(ctx context.Context, l *line, ids []uuid.UUID) ([]head, error) {
	n := l.admit(len(ids))
	var heads []head
	if n > 0 {
		var err error
		heads, err = s.claim(ctx, ids[:n])
		l.leave(n - len(heads))
		if err != nil {
			return nil, err
		}
		if len(heads) == 0 && !l.isPaced() {
			s.learnPaced(ctx)
		}
	}
	if n < len(ids) || l.isPaced() {
		s.pull(ctx, l)
	}
	return heads, nil
}

// watch is a task that waits for what comes of its message. It hears once.
type watch struct {
	id      uuid.UUID
	verdict chan error
}

// start begins a lane, which outlives the task that brought it.
func (s *Service) start(ctx context.Context, l *line, h head, w *watch) {
	ctx = context.WithoutCancel(ctx)
	s.work.Go(func() { s.lane(ctx, l, h, time.Time{}, w) })
}

// identify returns the id of a task's message, storing its row first when a
// program enqueued it without one.
func (s *Service) identify(ctx context.Context, m tasks.SendMessage) (uuid.UUID, error) {
	if m.ID == "" {
		r, err := s.c.Outbox.Store(ctx, m)
		return r.ID, err
	}
	id, err := uuid.Parse(m.ID)
	if err != nil {
		return id, fault.New(fault.Invalid, "invalid_id", "The message's id is no UUID.")
	}
	return id, nil
}

func unavailable(what string, err error) error {
	return fault.New(fault.Unavailable, "database_unavailable", "The database is away.").Because(fmt.Errorf("%s: %w", what, err))
}

// requeue gives a message a task of its own, after a wait. Its identity holds
// the attempt, so that an earlier task of the message is never in its way. A
// failure is only logged: the relay finds the row.
func (s *Service) requeue(ctx context.Context, m tasks.SendMessage, attempt int32, wait time.Duration) {
	id := asynq.TaskID(fmt.Sprintf("message:send:%s:%d", m.ID, attempt))
	err := tasks.Enqueue(ctx, s.c.Client, m, id, asynq.ProcessIn(wait))
	if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "message.unqueued", slog.String("message_id", m.ID), slog.Any("error", err))
	}
}
