package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	// fetchCooldown is the shortest time between two fetches of a worker. River's
	// documentation says that throughput is limited by it, and its default is
	// 100 ms. This value and the next are those of River's own benchmark. The
	// minimum, 1 ms, fetches fewer jobs each time and so takes more of a CPU that
	// PostgreSQL needs as well.
	fetchCooldown = 2 * time.Millisecond
	// fetchPollInterval is how often a worker looks without being notified.
	fetchPollInterval = 20 * time.Millisecond
	// notifyInterval is the shortest time between two notifications of an api,
	// which River takes from the same setting as a worker's cooldown. PostgreSQL
	// commits transactions that notify one at a time, so notifying as often as a
	// worker fetches would make inserts wait for each other. A job that is not
	// notified waits for the next poll.
	notifyInterval = 10 * time.Millisecond

	// poolSize is the most connections of one process. An insert needs one for
	// about as long as PostgreSQL takes to commit it, so a few for each CPU are
	// enough; River's documentation counts two to five for a worker.
	poolSize = 32

	// migrateLock is the key of the advisory lock under which tables are made.
	migrateLock = 7_267_101_118
)

// Kind implements river.JobArgs. Neither unique options nor tags are set: River
// inserts faster without them, and the id is new each time anyway.
func (message) Kind() string { return taskType }

// startRiverAPI queues each message as one job with River's plain Insert. When a
// request is answered, the job's transaction has committed.
func startRiverAPI(ctx context.Context, cfg config, mux *http.ServeMux) (stop func() error, err error) {
	pool, err := openPostgres(ctx, cfg.databaseURL)
	if err != nil {
		return nil, err
	}
	// Without Queues and Workers the client only inserts.
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown: notifyInterval,
		Logger:        riverLog(),
	})
	if err != nil {
		return nil, fmt.Errorf("make River client: %w", err)
	}
	mux.HandleFunc("POST /v1/messages", accept(func(ctx context.Context, m message) error {
		_, err := client.Insert(ctx, m, nil) // River's default is 25 attempts
		return err
	}))
	return func() error {
		pool.Close()
		return nil
	}, nil
}

// startRiverWorker sends what startRiverAPI queues. River keeps finished jobs for
// a day, marks them as done in batches, and is notified of new ones; all of that
// is left as it is.
func startRiverWorker(ctx context.Context, cfg config) (stop func() error, err error) {
	gw, err := newGateway(cfg.gatewayURL)
	if err != nil {
		return nil, err
	}
	pool, err := openPostgres(ctx, cfg.databaseURL)
	if err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[message]) error {
		return gw.send(ctx, job.Args)
	}))
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPollInterval,
		JobTimeout:        sendTimeout,
		Logger:            riverLog(),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.concurrency}},
		SoftStopTimeout:   patience,
		Workers:           workers,
	})
	if err != nil {
		return nil, fmt.Errorf("make River client: %w", err)
	}
	working := context.WithoutCancel(ctx) // jobs in hand outlive the signal to stop
	if err := client.Start(working); err != nil {
		return nil, fmt.Errorf("start River: %w", err)
	}
	return func() error {
		defer pool.Close()
		return client.Stop(working)
	}, nil
}

// openPostgres connects and makes River's tables, unless they are there.
func openPostgres(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	if databaseURL == "" {
		return nil, errors.New("DATABASE_URL is not set")
	}
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	cfg.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make River's tables: %w", err)
	}
	return pool, nil
}

// migrate brings River's tables up to date. The api and the worker both do so,
// whichever starts first, and the lock makes the other one wait: River's own
// migrations take none. They run on another connection than the lock's, because
// they must be committed one by one.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: riverLog()})
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", migrateLock); err != nil {
			return err
		}
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
}

// riverLog is as quiet as asynq's log is told to be.
func riverLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
