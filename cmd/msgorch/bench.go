package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/bench"
)

func (a *app) bench() *cli.Command {
	const addr = "addr"
	return &cli.Command{
		Name: "bench", Usage: "measure how fast this machine sends and hears, end to end",
		Description: "`make bench` runs it with servers of its own and beside its peers. It makes and drops\n" +
			"databases named msgorch_bench_*, and empties a Redis that must be empty at the start.\n\n" +
			"msgorch bench run --only api --messages 20000",
		Commands: []*cli.Command{
			{Name: "run", Usage: "measure everything and print tables", Action: a.runBench, Flags: []cli.Flag{
				&cli.IntFlag{Name: "messages", Value: 20_000, Usage: "`N` in each round"},
				&cli.IntFlag{Name: "chats", Value: 1000, Usage: "`N` that they go to"},
				&cli.IntFlag{Name: "callers", Value: 64, Usage: "`N` at a time"},
				&cli.IntFlag{Name: "rounds", Value: 3, Usage: "`N`, in which all take turns"},
				&cli.BoolFlag{Name: "backlog", Usage: "accept everything before the worker starts: what it alone can do"},
				&cli.IntFlag{Name: "history", Usage: "also measure with `N` messages in history, and lists of them (10 million: 20 minutes, 20 GB)"},
				&cli.IntFlag{Name: "steady", Usage: "also `N` rounds in which as many messages of the history are deleted as come"},
				&cli.BoolFlag{Name: "keep", Usage: "leave the database with the history for the next run"},
				&cli.DurationFlag{Name: "redis-delay", Usage: "`TIME` that each round trip to Redis takes longer"},
				&cli.DurationFlag{Name: "postgres-delay", Usage: "`TIME` that each round trip to PostgreSQL takes longer"},
				&cli.StringSliceFlag{Name: "set", Usage: "`NAME=VALUE` for API and worker, such as WORKER_SERVERS=4"},
				&cli.BoolFlag{Name: "latency", Value: true, Usage: "also measure single messages at even rates"},
				&cli.IntSliceFlag{Name: "rate", Usage: "only measure single messages at `N` a second"},
				&cli.StringSliceFlag{Name: "only", Usage: "`NAME` of what to measure: asynq, river, api, outbox, enqueue, hear, full"},
				&cli.StringFlag{Name: "peers", Usage: "`FILE` with the peers' program; without it only ours are measured"},
			}},
			{Name: "fill", Usage: "store made-up messages of two years in an empty database", Action: a.benchFill, Flags: []cli.Flag{
				&cli.IntFlag{Name: "messages", Value: 1_000_000, Usage: "`N`; a million takes a minute and 1.7 GB"},
			}},
			{Name: "gateway", Usage: "the least that can be a gateway", Hidden: true, Action: a.benchGateway, Flags: []cli.Flag{
				&cli.StringFlag{Name: addr, Required: true}, &cli.IntFlag{Name: "messages", Required: true},
			}},
			{Name: "app", Usage: "a program that sends through the Go packages", Hidden: true, Action: a.benchApp, Flags: []cli.Flag{
				&cli.StringFlag{Name: "by", Required: true},
			}},
			{Name: "load", Usage: "callers of an API", Hidden: true, Action: a.benchLoad, Flags: []cli.Flag{
				&cli.StringFlag{Name: "url", Required: true}, &cli.StringFlag{Name: "kind", Value: bench.KindSend},
				&cli.IntFlag{Name: "messages", Required: true}, &cli.IntFlag{Name: "first"}, &cli.IntFlag{Name: "chats", Value: 1000},
				&cli.IntFlag{Name: "callers", Value: 64}, &cli.IntFlag{Name: "rate"},
			}},
		},
	}
}

func (a *app) runBench(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	getenv, err := a.environ()
	if err != nil {
		return err
	}
	cfg, err := a.config("DATABASE_URL")
	if err != nil {
		return err
	}
	programs, err := siblings("api", "worker", "msgorch")
	if err != nil {
		return err
	}
	o := bench.Options{
		Messages: c.Int("messages"), Chats: c.Int("chats"), Callers: c.Int("callers"), Rounds: c.Int("rounds"),
		Latency: c.Bool("latency"), Rates: c.IntSlice("rate"), Backlog: c.Bool("backlog"), History: c.Int("history"), Steady: c.Int("steady"), Keep: c.Bool("keep"),
		RedisDelay: c.Duration("redis-delay"), PostgresDelay: c.Duration("postgres-delay"),
		Bin: filepath.Dir(programs["msgorch"]), Peers: c.String("peers"), Only: c.StringSlice("only"),
		DatabaseURL: cfg.DatabaseURL, RedisURL: getenv("REDIS_URL"), Out: a.stdout,
		Env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, c.StringSlice("set")...),
	}
	if o.Messages < 1 || o.Chats < 1 || o.Callers < 1 || o.Rounds < 1 || len(o.Rates) > 0 && slices.Min(o.Rates) < 1 {
		return wrongUsage(c, errors.New("every number must be at least 1"))
	}
	if o.RedisURL == "" {
		return settingsError{errors.New("REDIS_URL is not set; example: redis://127.0.0.1:6379/15")}
	}
	return bench.Run(ctx, o)
}

func (a *app) benchFill(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	cfg, err := a.config("DATABASE_URL")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, cfg.DatabaseURL)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return bench.Fill(ctx, conn, c.Int("messages"))
}

func (a *app) benchGateway(ctx context.Context, c *cli.Command) error {
	return serveUntil(ctx, c.String("addr"), bench.NewGateway(c.Int("messages")))
}

func (a *app) benchApp(ctx context.Context, c *cli.Command) error {
	getenv, err := a.environ()
	if err != nil {
		return err
	}
	cfg, err := a.config("DATABASE_URL")
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, cfg.DatabaseURL, 0)
	if err != nil {
		return err
	}
	defer pool.Close()
	client := asynq.NewClient(cfg.Redis)
	defer client.Close()
	handler, err := bench.App(c.String("by"), pool, client)
	if err != nil {
		return wrongUsage(c, err)
	}
	return serveUntil(ctx, getenv("ADDR"), handler)
}

func (a *app) benchLoad(ctx context.Context, c *cli.Command) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	answered, err := bench.Load{
		URL: c.String("url"), Token: cfg.APIToken.Reveal(), Kind: c.String("kind"), Messages: c.Int("messages"), First: c.Int("first"),
		Chats: c.Int("chats"), Callers: c.Int("callers"), Rate: c.Int("rate"),
	}.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(a.stdout).Encode(answered)
}

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, addr string, h http.Handler) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
