package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/migrations"
)

// contender is one way of doing the work: a program that accepts, and one that
// sends.
type contender struct {
	name    string
	label   string
	kind    string
	ours    bool // it needs our schema
	api     []string
	worker  []string
	drained func(context.Context, *pgx.Conn, *redis.Client) (bool, error)
}

// full is the contender whose database has a history.
const full = "full"

const token = "bench-token-0123456789"

func (o Options) contenders() []contender {
	ours := func(name string) string { return filepath.Join(o.Bin, name) }
	worker := []string{ours("worker")}
	app := func(by string) []string { return []string{ours("msgorch"), "bench", "app", "--by", by} }
	all := []contender{
		{name: "asynq", label: "raw asynq, no database", api: []string{o.Peers, "asynq-api"}, worker: []string{o.Peers, "asynq-worker"}, drained: asynqDrained},
		{name: "river", label: "River", api: []string{o.Peers, "river-api"}, worker: []string{o.Peers, "river-worker"}, drained: riverDrained},
		{name: "api", label: "MsgOrch, API", ours: true, api: []string{ours("api")}, worker: worker, drained: settled},
		{name: "outbox", label: "MsgOrch, package outbox", ours: true, api: app(ByOutbox), worker: worker, drained: settled},
		{name: "enqueue", label: "MsgOrch, tasks.Enqueue", ours: true, api: app(ByEnqueue), worker: worker, drained: settled},
		{name: "hear", label: "MsgOrch, webhooks", kind: KindHear, ours: true, api: []string{ours("api")}, worker: worker, drained: heard},
	}
	if o.History > 0 {
		all = append(all, contender{
			name: full, label: fmt.Sprintf("MsgOrch, API, %d messages in history", o.History), ours: true,
			api: []string{ours("api")}, worker: worker, drained: settled,
		})
	}
	out := all[:0:0]
	for _, c := range all {
		if c.kind == "" {
			c.kind = KindSend
		}
		if len(c.api[0]) > 0 && (len(o.Only) == 0 || slices.Contains(o.Only, c.name)) {
			out = append(out, c)
		}
	}
	return out
}

// prepare makes what a contender needs before its programs start.
func (c contender) prepare(ctx context.Context, url string, conn *pgx.Conn) error {
	if !c.ours {
		return nil
	}
	if err := migrations.Up(ctx, url); err != nil {
		return err
	}
	_, err := db.New(conn).EnsureInstance(ctx, instance)
	return err
}

// settled reports whether every message has its outcome recorded.
func settled(ctx context.Context, conn *pgx.Conn, _ *redis.Client) (done bool, err error) {
	err = conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT 1 FROM messages WHERE settled_at IS NULL)").Scan(&done)
	return done, err
}

// heard reports whether every webhook was applied.
func heard(ctx context.Context, conn *pgx.Conn, _ *redis.Client) (done bool, err error) {
	err = conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT 1 FROM gateway_events WHERE state = 'pending')").Scan(&done)
	return done, err
}

func riverDrained(ctx context.Context, conn *pgx.Conn, _ *redis.Client) (done bool, err error) {
	err = conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT 1 FROM river_job WHERE state <> 'completed')").Scan(&done)
	return done, err
}

func asynqDrained(ctx context.Context, _ *pgx.Conn, rdb *redis.Client) (bool, error) {
	left := int64(0)
	for _, list := range []string{"pending", "active"} {
		n, err := rdb.LLen(ctx, fmt.Sprintf("asynq:{default}:%s", list)).Result()
		if err != nil {
			return false, err
		}
		left += n
	}
	return left == 0, nil
}
