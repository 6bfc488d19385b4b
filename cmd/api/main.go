// Command api serves the public HTTP API and the gateways' webhooks, and, on a
// second listener, the operator. Run as many as you like behind a load
// balancer; they share nothing but PostgreSQL and Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	asynqmetrics "github.com/hibiken/asynq/x/metrics"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/console"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/httpapi"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/logging"
	"github.com/msgorch/msgorch/internal/media"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/outbox"
)

// gcPercent lets the small heap of an API grow before it is collected: at 100 that
// would be for each few megabytes of requests.
const gcPercent = 300

// gcReserve is memory that nobody touches, and that therefore takes none, but counts
// as in use: the heap may grow by four times as much more before it is collected,
// which makes what is done meanwhile a third slower. A higher percent would save as
// many collections, and let the heap of an API that takes large files grow to many
// times its size.
const gcReserve = 12 << 20

// drain is how long an API that was told to stop goes on serving, with /readyz
// saying no, so that load balancers and clients with open connections leave.
const drain = time.Second

// version is set when a release is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1) //nolint:gocritic // stop only stops listening for signals
	}
}

// run wires the process together and blocks until ctx ends. Every dependency is
// visible here; nothing is created anywhere else.
func run(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	getenv, err := config.DotEnv(".", getenv)
	if err != nil {
		return err
	}
	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	log, levels, err := logging.New(stderr, cfg.AppName, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		return err
	}
	log = logging.Component(log, "api")
	started := time.Now()
	if getenv("GOGC") == "" {
		reserve := make([]byte, gcReserve)
		defer runtime.KeepAlive(reserve)
		debug.SetGCPercent(gcPercent)
	}
	box, err := secret.NewBox(cfg.SecretKey)
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, cfg.DatabaseURL, 0)
	if err != nil {
		return err
	}
	defer pool.Close()
	// Lists and searches have connections of their own, so that none of them keeps a
	// message waiting.
	reading, err := db.Open(ctx, cfg.DatabaseURL, 0)
	if err != nil {
		return err
	}
	defer reading.Close()

	redis.SetLogger(logging.Redis(log))
	rdb := cfg.Redis.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert,errcheck // asynq says that it is one
	defer rdb.Close()
	client := asynq.NewClientFromRedisClient(rdb)
	inspector := asynq.NewInspectorFromRedisClient(rdb)

	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		asynqmetrics.NewQueueMetricsCollector(inspector))

	out := outbox.New(pool, client)
	out.OnUnqueued = func(err error) { log.LogAttrs(ctx, slog.LevelWarn, "message.unqueued", slog.Any("error", err)) }
	ring := func() { queue.Ring(ctx, rdb) }
	out.OnQueued = ring
	desk := outbound.NewDesk(pool, client, func(err error) {
		if err == nil {
			ring()
			return
		}
		log.LogAttrs(ctx, slog.LevelWarn, "task.unqueued", slog.Any("error", err))
	})
	decoder := evolution.Decoder{}
	in := inbound.New(inbound.Config{
		Pool: pool, Client: client, Log: log,
		Decoders: map[string]gateway.Decoder{"evolution": decoder, "sandbox": decoder, "cloud": cloud.Decoder{}}, OnQueued: ring,
	})

	store, err := media.Open(cfg.MediaStore, media.Credentials(cfg.AWS))
	if err != nil {
		return err
	}
	operator := console.New(console.Config{
		Redis: cfg.Redis, Metrics: metrics, Log: log, Token: cfg.AdminToken,
		LogLevel: levels.String, SetLogLevel: setLogLevel(pool, levels),
		Linker: newLinker(pool, box, cfg),
	})
	defer func() { _ = operator.Close() }()
	public := httpapi.New(httpapi.Config{
		Pool: pool, Outbox: out, Inbound: in, Desk: desk, History: history.New(reading), Box: box, Log: log, Version: version,
		MaxBodyBytes: cfg.MaxBodyBytes, Signed: cloud.Signed, APIToken: cfg.APIToken, WebhookToken: cfg.WebhookToken,
		AllowPrivateTargets: cfg.AllowPrivateTargets, Metrics: metrics, Stopping: ctx.Done(),
		Files:     store,
		RedisPing: func(ctx context.Context) error { return rdb.Ping(ctx).Err() },
	})

	var background sync.WaitGroup
	background.Go(func() {
		catchUp := func() { db.CatchUpLogLevel(ctx, pool, started, levels.Set) }
		db.Listen(ctx, pool, catchUp, map[string]func(string){
			db.ChannelLogLevel: func(directives string) { _ = levels.Set(directives) }, // it was checked before it was told
		})
	})
	err = serve(ctx, log, cfg.ShutdownWait, map[string]listener{
		"public":   {net.JoinHostPort(cfg.ListenHost, strconv.Itoa(cfg.ListenPort)), public},
		"operator": {cfg.AdminAddr, operator},
	})
	background.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _, _ = out.Close(closing), in.Close(closing), desk.Close(closing) // what Redis did not hear, the relay finds
	return err
}

// setLogLevel changes the level of this process, so that it is certain, and
// tells every other.
func setLogLevel(pool *pgxpool.Pool, levels *logging.Levels) func(context.Context, string) error {
	return func(ctx context.Context, directives string) error {
		if err := levels.Set(directives); err != nil {
			return err
		}
		if err := db.New(pool).TellLogLevel(ctx, directives); err != nil {
			return errors.New("the level was changed here, but the database is away, so no other process was told")
		}
		return nil
	}
}

type listener struct {
	addr    string
	handler http.Handler
}

// serve listens on every address before it serves any, so that a taken port
// fails at start, and then serves until ctx ends, a moment longer, and until the
// requests in hand are answered, or wait is over.
func serve(ctx context.Context, log *slog.Logger, wait time.Duration, listeners map[string]listener) error {
	failed := make(chan error, len(listeners))
	var servers []*http.Server
	for name, l := range listeners {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr)
		if err != nil {
			return fmt.Errorf("listen for the %s: %w", name, err)
		}
		srv := &http.Server{
			Handler: farewell(ctx, l.handler), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		servers = append(servers, srv)
		go func() { failed <- srv.Serve(ln) }()
		log.LogAttrs(ctx, slog.LevelInfo, "api.listening", slog.String("listener", name), slog.String("addr", ln.Addr().String()))
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	if err == nil { // told to stop: clients first get the time to go elsewhere
		<-time.After(min(drain, wait/2))
	}
	for _, srv := range servers {
		err = errors.Join(err, srv.Shutdown(closing))
	}
	log.LogAttrs(closing, slog.LevelInfo, "api.stopped")
	return err
}

// farewell sends clients elsewhere once ctx ends: each answer closes its
// connection. Closing the idle ones then could cut off a request that is just
// being written.
func farewell(ctx context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
