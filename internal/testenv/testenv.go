// Package testenv gives every test a PostgreSQL database and a Redis number of
// its own, on the real servers that DATABASE_URL and REDIS_URL name. Tests that
// need one fail when it is missing, because a promise that was not tested is
// not kept; with -short they are skipped.
package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/migrations"
)

const (
	setUp = time.Minute
	// templateLock is the advisory lock under which the template is made.
	templateLock = 7_305_812_941
	redisClaim   = 20 * time.Minute
)

// Postgres returns the URL of a fresh, migrated database, which is dropped when
// the test ends. It is a copy of a template that the first caller migrates.
func Postgres(tb testing.TB) string {
	tb.Helper()
	template := template(tb)
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	admin(tb, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template))
	tb.Cleanup(func() { admin(tb, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)) })
	return on(tb, name)
}

// EmptyPostgres is Postgres without migrations.
func EmptyPostgres(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	admin(tb, "CREATE DATABASE "+name)
	tb.Cleanup(func() { admin(tb, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)) })
	return on(tb, name)
}

// Pool returns a pool on a database of Postgres.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	return PoolOn(tb, Postgres(tb))
}

// PoolOn returns a pool that is closed when the test ends.
func PoolOn(tb testing.TB, databaseURL string) *pgxpool.Pool {
	tb.Helper()
	pool, err := db.Open(tb.Context(), databaseURL, 8)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// Message reads a message's row, with what nobody is shown.
func Message(tb testing.TB, pool *pgxpool.Pool, id uuid.UUID) db.Message {
	tb.Helper()
	rows, err := pool.Query(tb.Context(), "SELECT * FROM messages WHERE id = $1", id)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.Message])
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// Redis returns the URL of an empty database number, which is flushed and given
// back when the test ends. asynq's keys have no prefix, so a number is what
// keeps tests apart.
func Redis(tb testing.TB) string {
	tb.Helper()
	base := server(tb, "REDIS_URL")
	n := claimNumber(tb, base)
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal("REDIS_URL is no URL")
	}
	u.Path = "/" + strconv.Itoa(n)
	return u.String()
}

// Client returns an asynq client on Redis's URL, closed when the test ends.
func Client(tb testing.TB, redisURL string) *asynq.Client {
	tb.Helper()
	client := asynq.NewClient(RedisOpt(tb, redisURL))
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// RedisOpt parses Redis's URL for asynq.
func RedisOpt(tb testing.TB, redisURL string) asynq.RedisConnOpt {
	tb.Helper()
	opt, err := asynq.ParseRedisURI(redisURL)
	if err != nil {
		tb.Fatal(err)
	}
	return opt
}

// server returns the URL of a server that tests may use, or ends the test.
func server(tb testing.TB, variable string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: needs real servers")
	}
	s := os.Getenv(variable)
	if s == "" {
		tb.Fatalf("%s is not set: run the tests with `make test`", variable)
	}
	return s
}

// on returns the URL of a database on the tests' server.
func on(tb testing.TB, database string) string {
	tb.Helper()
	u, err := url.Parse(server(tb, "DATABASE_URL"))
	if err != nil {
		tb.Fatal("DATABASE_URL is no URL")
	}
	u.Path = "/" + database
	return u.String()
}

// admin runs one statement on the tests' server.
func admin(tb testing.TB, sql string) {
	tb.Helper()
	withAdmin(tb, func(ctx context.Context, conn *pgx.Conn) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			tb.Errorf("%s: %v", sql, err)
		}
	})
}

func withAdmin(tb testing.TB, fn func(context.Context, *pgx.Conn)) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), setUp)
	defer cancel()
	conn, err := pgx.Connect(ctx, server(tb, "DATABASE_URL"))
	if err != nil {
		tb.Fatalf("reach PostgreSQL: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	fn(ctx, conn)
}

// template returns the name of the migrated database that tests copy.
func template(tb testing.TB) (name string) {
	tb.Helper()
	hash, err := migrations.Hash()
	if err != nil {
		tb.Fatal(err)
	}
	name = "msgorch_template_" + hash
	withAdmin(tb, func(ctx context.Context, conn *pgx.Conn) {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
			tb.Fatal(err)
		}
		exists := false
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
			tb.Fatal(err)
		}
		if exists {
			return
		}
		// Under another name until it is whole: a test that died half-way must
		// not leave half a template.
		for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + "_new WITH (FORCE)", "CREATE DATABASE " + name + "_new"} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				tb.Fatal(err)
			}
		}
		if err := migrations.Up(ctx, on(tb, name+"_new")); err != nil {
			tb.Fatal(err)
		}
		if _, err := conn.Exec(ctx, "ALTER DATABASE "+name+"_new RENAME TO "+name); err != nil {
			tb.Fatal(err)
		}
	})
	return name
}

// claimNumber takes a database number for this test alone. The claims are in
// number 0, which no test uses.
func claimNumber(tb testing.TB, redisURL string) int {
	tb.Helper()
	opt, err := redis.ParseURL(redisURL)
	if err != nil {
		tb.Fatal("REDIS_URL is no URL")
	}
	opt.DB = 0
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), setUp)
	defer cancel()
	most := 16
	if c, err := rdb.ConfigGet(ctx, "databases").Result(); err == nil {
		if n, err := strconv.Atoi(c["databases"]); err == nil {
			most = n
		}
	}
	owner := uuid.NewString()
	for {
		for n := 1; n < most; n++ {
			ok, err := rdb.SetNX(ctx, "testenv:"+strconv.Itoa(n), owner, redisClaim).Result()
			if err != nil {
				tb.Fatalf("reach Redis: %v", err)
			}
			if ok {
				flush(tb, opt, n)
				tb.Cleanup(func() { flush(tb, opt, n); release(tb, opt, n) })
				return n
			}
		}
		select {
		case <-time.After(100 * time.Millisecond): // every number is taken: wait for a test to end
		case <-ctx.Done():
			tb.Fatal("no Redis database number became free")
		}
	}
}

func flush(tb testing.TB, opt *redis.Options, n int) {
	tb.Helper()
	withNumber(opt, n, func(ctx context.Context, rdb *redis.Client) {
		if err := rdb.FlushDB(ctx).Err(); err != nil {
			tb.Errorf("flush Redis number %d: %v", n, err)
		}
	})
}

func release(tb testing.TB, opt *redis.Options, n int) {
	tb.Helper()
	withNumber(opt, 0, func(ctx context.Context, rdb *redis.Client) {
		if err := rdb.Del(ctx, "testenv:"+strconv.Itoa(n)).Err(); err != nil {
			tb.Errorf("give back Redis number %d: %v", n, err)
		}
	})
}

func withNumber(opt *redis.Options, n int, fn func(context.Context, *redis.Client)) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o := *opt
	o.DB = n
	rdb := redis.NewClient(&o)
	defer rdb.Close()
	fn(ctx, rdb)
}
