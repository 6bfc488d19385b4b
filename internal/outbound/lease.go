package outbound

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
)

// A claimed message is leased for a short time, and the lease is renewed while
// the message is in hand: so the work of a worker that was killed goes on
// within seconds, and most messages are settled before any renewal.
const (
	LeaseTime    = 3500 * time.Millisecond // also what the relay takes off, to know when a lost worker was last alive
	renewEvery   = time.Second
	renewTimeout = 2 * time.Second
	// leaseMargin is kept between our own belief in a lease and its end in
	// PostgreSQL, which began a little later than we asked for it.
	leaseMargin = 500 * time.Millisecond
)

// leases are the messages that this process has in hand.
type leases struct {
	mu   sync.Mutex
	held map[uuid.UUID]lease
}

type lease struct {
	attempt int32
	renewed time.Time // on this process's monotonic clock
}

// hold begins a lease that was asked for at a time.
func (l *leases) hold(id uuid.UUID, attempt int32, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[id] = lease{attempt: attempt, renewed: at}
}

func (l *leases) drop(id uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// valid reports whether nobody else can have taken the message.
func (l *leases) valid(id uuid.UUID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, ok := l.held[id]
	return ok && time.Since(h.renewed) < LeaseTime-leaseMargin
}

// due returns the leases that are worth a renewal.
func (l *leases) due() (ids []uuid.UUID, attempts []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.held {
		if time.Since(h.renewed) >= renewEvery/2 {
			ids = append(ids, id)
			attempts = append(attempts, h.attempt)
		}
	}
	return ids, attempts
}

func (l *leases) renew(ids []uuid.UUID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if h, ok := l.held[id]; ok {
			h.renewed = at
			l.held[id] = h
		}
	}
}

// Run renews the leases of what is in hand, until ctx ends. It must outlive
// the last Send.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.renewLeases(ctx)
		}
	}
}

func (s *Service) renewLeases(ctx context.Context) {
	ids, attempts := s.leases.due()
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	asked := time.Now() // before PostgreSQL's own now(): we never believe in a lease for too long
	renewed, err := db.New(s.c.Pool).RenewLeases(ctx, db.RenewLeasesParams{Lease: LeaseTime, Ids: ids, Attempts: attempts})
	if err != nil {
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "lease.unrenewed", slog.Int("messages", len(ids)), slog.Any("error", err))
		return
	}
	s.leases.renew(renewed, asked)
}
