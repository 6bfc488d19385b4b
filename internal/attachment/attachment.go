// Package attachment is the room where files that people sent are fetched from
// their gateways and kept. Each has a row, which is the queue: a task only says
// that it is time to look.
package attachment

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

const (
	// leaseTime is how long after its last sign of life an attempt's worker is
	// taken for lost; it gives one each renewEvery.
	leaseTime  = 30 * time.Second
	renewEvery = 8 * time.Second
	// recordTime is how long recording an outcome may take, after the attempt.
	recordTime = 10 * time.Second
	// crowded is how long a file waits when too many are being fetched.
	crowded = 2 * time.Second
)

// When a file is tried again. A gateway keeps it for a while only, but may be away
// for a weekend.
const (
	quickAttempts = 9         // with the usual backoff: some minutes in all
	slowWait      = time.Hour // between the later ones
	maxAttempts   = 80        // three days in all
	believedAfter = 3         // attempts: then a gateway that says it has no such file is believed
)

// Opener begins to read a file that its gateway keeps. It may be used
// concurrently.
type Opener interface {
	OpenMedia(ctx context.Context, at gateway.Account, id string) (file io.ReadCloser, contentType string, size int64, err error)
}

// Store is where files are kept.
type Store interface {
	Put(ctx context.Context, key string, file io.Reader) error
	Delete(ctx context.Context, key string) error
}

// Config is what a Service needs. All fields are required.
type Config struct {
	Pool    *pgxpool.Pool
	Openers map[string]Opener // by the instance's gateway
	Account func(db.Instance) (gateway.Account, error)
	Store   Store
	// MaxBytes is the size of the largest file that is kept.
	MaxBytes int64
	// AtOnce is how many files may be being fetched at a time: a slow gateway must
	// not hold every place of a worker.
	AtOnce int
	Log    *slog.Logger
}

// Service fetches files. It is safe for concurrent use.
type Service struct {
	c      Config
	places chan struct{}
}

// New returns a Service.
func New(c Config) *Service {
	return &Service{c: c, places: make(chan struct{}, c.AtOnce)}
}

// Fetch handles a task that asks for one file. An error means that the task must
// come back for it, or, when it is final, that the file cannot be had.
func (s *Service) Fetch(ctx context.Context, t tasks.FetchMedia) error {
	id, err := uuid.Parse(t.ID)
	if err != nil {
		return fault.New(fault.Invalid, "invalid_id", "The message's id is no UUID.")
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return fault.New(fault.Throttled, "media_crowded", "Too many files are being fetched.").RetryAfter(crowded/2 + rand.N(crowded))
	}
	c, err := db.New(s.c.Pool).ClaimMedia(ctx, db.ClaimMediaParams{ID: id, Lease: leaseTime})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	started := time.Now()
	file, err := s.attempt(ctx, c)
	return s.settle(ctx, c, file, time.Since(started), fault.Of(err))
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, "database_unavailable", "The database is away.").Because(err)
}

// attempt fetches a file while its lease is renewed. It ends early when somebody
// else was given the file, or its message was deleted.
func (s *Service) attempt(ctx context.Context, c db.ClaimMediaRow) (*kept, error) {
	if c.Attempts > maxAttempts {
		return nil, fault.New(fault.NotFound, "media_worker_lost", "The worker that fetched it last stopped before it was done.")
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { s.renew(ctx, cancel, c) })
	defer renewing.Wait()
	defer cancel()
	return s.keep(ctx, c)
}

func (s *Service) renew(ctx context.Context, lost func(), c db.ClaimMediaRow) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := db.New(s.c.Pool).RenewMedia(ctx, db.RenewMediaParams{ID: c.ID, Attempt: c.Attempts, Lease: leaseTime})
		if err == nil && n == 0 {
			lost()
		}
	}
}

// keep moves a file from its gateway to the store.
func (s *Service) keep(ctx context.Context, c db.ClaimMediaRow) (*kept, error) {
	opener, ok := s.c.Openers[c.Instance.Gateway]
	if !ok {
		return nil, fault.New(fault.Unavailable, "gateway_unsupported", "This version fetches no files from the gateway "+c.Instance.Gateway+".")
	}
	account, err := s.c.Account(c.Instance)
	if err != nil {
		return nil, err
	}
	file, _, _, err := opener.OpenMedia(ctx, account, c.GatewayID)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := inspect(file, s.c.MaxBytes, c.ToldSha256)
	err = s.c.Store.Put(ctx, c.StorageKey, in)
	switch {
	case in.fault != nil:
		return nil, in.fault
	case err != nil:
		return nil, fault.New(fault.Unavailable, "media_store_failed", "The file could not be written to the media store.").Because(err)
	}
	return in.kept(), nil
}
