// Package db is the one way to PostgreSQL: the queries of *.sql, which sqlc
// turned into Go, a pool, transactions and notifications.
package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// settings of every session, unless the URL has others.
//
//nolint:gochecknoglobals // a constant in all but syntax
var settings = map[string]string{
	"application_name": "msgorch",
	// A statement that takes longer than this is a fault, not a slow day.
	"statement_timeout": "30000",
	// Nothing of ours holds a lock for long; a caller's own transaction may, and
	// must not hold up what has nothing to do with it.
	"lock_timeout": "3000",
	// A prepared statement keeps the plan that it got when its tables were nearly
	// empty, and would read all of them a minute later. Every statement of ours has
	// an index to go by.
	"enable_seqscan": "off",
	// For the same reason every join looks its rows up one by one: ours are of few
	// rows with many. What reads all of a small table reads all of a large one too.
	"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_material": "off",
	// Compiling, or starting workers, takes longer than any statement of ours runs.
	"jit": "off", "max_parallel_workers_per_gather": "0",
	// Planning takes longer than running, and PostgreSQL would do it each time for a
	// single message, because a plan for one row looks cheaper than one for ten. What
	// is asked for would change no plan of ours for the better.
	"plan_cache_mode": "force_generic_plan",
}

// planLife is how long a connection keeps the plans of its statements. It plans
// in a few milliseconds; with a plan for thirty rows it would read the thousands
// that came since, until PostgreSQL analyses the table, a minute later.
const planLife = 10 * time.Second

// Open returns a pool of connections. It does not wait for PostgreSQL: a pool
// whose server is away fails each query and recovers by itself. size is the
// largest number of connections; 0 leaves it to the URL (pool_max_conns) or
// pgx's default.
func Open(ctx context.Context, databaseURL string, size int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL; example: postgres://user:password@host:5432/msgorch")
	}
	if size > 0 {
		cfg.MaxConns = size
	}
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	for name, value := range settings {
		if cfg.ConnConfig.RuntimeParams[name] == "" {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	cfg.PrepareConn = planAnew
	// Otherwise each UUID goes through its text, with an allocation each way.
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}

// planAnew has a connection forget plans that are older than planLife.
func planAnew(ctx context.Context, conn *pgx.Conn) (bool, error) {
	const key = "msgorch_planned_at"
	now := time.Now()
	data := conn.PgConn().CustomData()
	at, planned := data[key].(time.Time)
	if planned && now.Sub(at) < planLife {
		return true, nil
	}
	data[key] = now
	if !planned {
		return true, nil
	}
	_, err := conn.PgConn().Exec(ctx, "DISCARD PLANS").ReadAll()
	return err == nil, nil // one that fails is closed, and the pool takes another
}

// Beginner starts transactions: a pool, a connection, or a transaction, in
// which case they nest as savepoints.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// InTx runs fn in a transaction that commits when fn returns nil and rolls
// back otherwise.
func InTx(ctx context.Context, pool Beginner, fn func(*Queries) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return fn(New(tx)) })
}

// Channels that processes notify each other on.
const (
	ChannelRelay    = "msgorch_relay"     // rows are stored that Redis does not know of
	ChannelLogLevel = "msgorch_log_level" // the payload is the new directives
	ChannelPull     = "msgorch_pull"      // the payload is an instance of which much waits
)

// Listen calls the function of a channel with each payload notified on it,
// until ctx ends, and returns then. It connects again by itself; onConnect runs
// after every connect, because what was notified in between is lost. It uses
// one connection of its own, outside the pool.
func Listen(ctx context.Context, pool *pgxpool.Pool, onConnect func(), channels map[string]func(payload string)) {
	for ctx.Err() == nil {
		_ = listenOnce(ctx, pool, onConnect, channels) // an error means: connect again
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func listenOnce(ctx context.Context, pool *pgxpool.Pool, onConnect func(), channels map[string]func(string)) error {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	for channel := range channels {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
	onConnect()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		channels[n.Channel](n.Payload)
	}
}

// Violates reports whether err is the violation of the named constraint or
// unique index.
func Violates(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.ConstraintName == constraint
}

// Blocked reports whether err says that a lock was held by another transaction
// for too long. Away(err) is true as well.
func Blocked(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "55P03"
}

// Moved reports whether err says that a chat was merged into another while a message
// was being added to it: the same request finds the other.
func Moved(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23503" && pg.ConstraintName == "messages_chat_fkey"
}

// Busy reports whether err says that somebody else was at the same rows.
func Busy(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "55P03" || pg.Code == "40P01" || pg.Code == "23505")
}

// Refused reports whether err is the opposite of Away: what was asked is at fault,
// and of several that asked together perhaps only one.
func Refused(err error) bool { return err != nil && !Away(err) }

// Away reports whether err says that PostgreSQL could not be reached, or could
// not work just now, rather than that it refused what it was asked: the same
// request may succeed later.
func Away(err error) bool {
	if err == nil {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "08", // connection exception
			"40", // serialization failure, deadlock
			"53", // insufficient resources
			"55", // lock not available
			"57", // operator intervention: shutdown, starting up, statement timeout
			"58": // system error
			return true
		}
		return Moved(err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		isUnexpectedEOF(err)
}

// isUnexpectedEOF reports whether the server closed the connection in the
// middle of an answer, as it does when it is killed.
func isUnexpectedEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
