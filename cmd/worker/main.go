// Command worker runs tasks from Redis until it is told to stop. Run as many as
// you like, on as many machines; QUEUES says which kinds of work one does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/attachment"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/egress"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/logging"
	"github.com/msgorch/msgorch/internal/media"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/worker"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// poolSize is how many connections a worker needs: claims and outcomes are
// shared by whoever waits, so more tasks do not mean more connections.
const poolSize = 16

// gcPercent lets the small heap of a worker grow before it is collected: at 100
// that would be for each few megabytes of messages.
const gcPercent = 300

// filesAtOnce is how many files a worker fetches at a time at most. Each may hold
// some megabytes of memory on its way into a bucket.
const filesAtOnce = 16

// handBack is the part of SHUTDOWN_WAIT that is kept for handing back to Redis
// what did not finish.
const handBack = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
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
	log = logging.Component(log, "worker")
	started := time.Now()
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	box, err := secret.NewBox(cfg.SecretKey)
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, cfg.DatabaseURL, poolSize)
	if err != nil {
		return err
	}
	defer pool.Close()

	redis.SetLogger(logging.Redis(log))
	rdb := cfg.Redis.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert,errcheck // asynq says that it is one
	defer rdb.Close()
	client := asynq.NewClientFromRedisClient(rdb)

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := worker.NewMetrics(registry)

	sender := evolution.NewSender(egress.NewClient(cfg.AllowPrivateTargets))
	evo := outbound.Gateway{
		Sender: sender, Finder: sender, Prober: sender, Historian: sender, Attendant: sender,
		BaseURL: cfg.EvolutionBaseURL, Credential: cfg.EvolutionAPIKey,
	}
	meta := cloud.NewSender(egress.NewClient(cfg.AllowPrivateTargets))
	decoder := evolution.Decoder{}
	out := outbound.New(outbound.Config{
		Pool: pool, Client: client, Outbox: outbox.New(pool, client), Box: box, Log: log,
		Gateways: map[string]outbound.Gateway{
			"evolution": evo, "sandbox": evo, "cloud": {Sender: meta, Prober: meta, Attendant: meta, BaseURL: cloud.DefaultBaseURL},
		},
		Files: egress.NewFetcher(cfg.AllowPrivateTargets), MaxMediaBytes: cfg.MaxMediaBytes,
		PerInstance: cfg.Concurrency, Watched: cfg.Concurrency * cfg.WorkerServers / 2,
		Attempted: metrics.Attempted, Stopping: ctx.Done(),
	})
	in := inbound.New(inbound.Config{
		Pool: pool, Client: client, Log: log,
		Decoders: map[string]gateway.Decoder{"evolution": decoder, "sandbox": decoder, "cloud": cloud.Decoder{}},
		OnGap:    metrics.Gap,
	})
	store, err := media.Open(cfg.MediaStore, media.Credentials(cfg.AWS))
	if err != nil {
		return err
	}
	files := attachment.New(attachment.Config{
		Pool: pool, Account: out.Account, Store: store, MaxBytes: cfg.MaxMediaBytes, Log: log,
		Openers: map[string]attachment.Opener{"evolution": sender, "sandbox": sender, "cloud": meta},
		AtOnce:  min(max(cfg.Concurrency*cfg.WorkerServers/4, 1), filesAtOnce),
	})
	purger := history.Purger{Pool: pool, Files: store, Log: logging.Component(log, "worker.purge"), Keep: history.Retention{
		Messages: cfg.Retention["messages"], Events: cfg.Retention["events"],
		Quarantined: cfg.Retention["quarantined"], Evidence: cfg.Retention["evidence"],
	}}
	upkeep := worker.Upkeep{
		Purger:   purger,
		Watchdog: &outbound.Watchdog{Out: out, Log: log, Patience: cfg.AckPatience, Overdue: metrics.Overdue},
		Reconciler: &inbound.Reconciler{
			In: in, Recorders: out, Log: log, Every: cfg.ReconcileEvery, Grace: cfg.ReconcileGrace, Depth: cfg.ReconcileDepth,
		},
	}
	relay := worker.NewRelay(worker.RelayConfig{
		Pool: pool, Client: client, Redis: rdb, Metrics: metrics, Log: logging.Component(log, "worker.relay"),
		AckPatience: cfg.AckPatience, ReconcileEvery: cfg.ReconcileEvery, ReconcileGrace: cfg.ReconcileGrace,
	})

	health, err := serveHealth(ctx, log, cfg.WorkerAddr, pool, rdb, registry)
	if err != nil {
		return err
	}
	bell := worker.NewBell(ctx.Done())
	servers, err := startServers(ctx, cfg, bell, worker.Mux(out, in, files, upkeep, metrics, log), log)
	if err != nil {
		return err
	}
	var leases sync.WaitGroup
	renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRenewing()
	leases.Go(func() { out.Run(renewing) })
	var background sync.WaitGroup
	background.Go(func() { relay.Run(ctx) })
	background.Go(func() { bell.Run(ctx, rdb) })
	background.Go(func() {
		catchUp := func() {
			relay.Wake()
			db.CatchUpLogLevel(ctx, pool, started, levels.Set)
		}
		heard := map[string]func(string){
			db.ChannelRelay:    func(string) { relay.Wake() },
			db.ChannelLogLevel: func(directives string) { _ = levels.Set(directives) }, // it was checked before it was told
		}
		if sends(cfg.Queues) {
			heard[db.ChannelPull] = func(instance string) { out.Pull(ctx, instance) }
		}
		db.Listen(ctx, pool, catchUp, heard)
	})
	log.LogAttrs(ctx, slog.LevelInfo, "worker.started",
		slog.Any("queues", cfg.Queues), slog.Int("concurrency", cfg.Concurrency), slog.Int("servers", cfg.WorkerServers))

	<-ctx.Done()
	stopped := time.Now()
	for _, s := range servers {
		background.Go(s.Shutdown)
	}
	background.Wait()
	waiting, giveUp := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownWait-time.Since(stopped))
	defer giveUp()
	out.Wait(waiting)
	stopRenewing()
	leases.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = health.Shutdown(closing) // a probe that is still reading does not hold us
	log.LogAttrs(closing, slog.LevelInfo, "worker.stopped")
	return nil
}

// startServers starts the asynq servers, each with Redis connections of its own.
// Tasks outlive ctx: they get most of SHUTDOWN_WAIT to finish.
func startServers(ctx context.Context, cfg config.Config, bell *worker.Bell, mux *asynq.ServeMux, log *slog.Logger) ([]*asynq.Server, error) {
	servers := make([]*asynq.Server, cfg.WorkerServers)
	for i := range servers {
		c := worker.Config(context.WithoutCancel(ctx), cfg.Queues, cfg.Concurrency, max(cfg.ShutdownWait-handBack, time.Second), log)
		rdb := cfg.Redis.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert,errcheck // asynq says that it is one
		servers[i] = asynq.NewServerFromRedisClient(bell.Client(rdb, slices.Collect(maps.Keys(cfg.Queues))), c)
		if err := servers[i].Start(mux); err != nil {
			return nil, fmt.Errorf("start worker: %w", err)
		}
	}
	return servers, nil
}

// sends reports whether a worker with these queues sends messages.
func sends(queues map[string]int) bool {
	return queues[tasks.QueueCritical]+queues[tasks.QueueDefault]+queues[tasks.QueueBulk] > 0
}

// serveHealth answers probes and Prometheus.
func serveHealth(ctx context.Context, log *slog.Logger, addr string, pool *pgxpool.Pool, rdb redis.UniversalClient, metrics prometheus.Gatherer) (*http.Server, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]string{}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, parts := http.StatusOK, map[string]string{"postgres": "ok", "redis": "ok"}
		if pool.Ping(ctx) != nil {
			status, parts["postgres"] = http.StatusServiceUnavailable, "down"
		}
		if rdb.Ping(ctx).Err() != nil {
			status, parts["redis"] = http.StatusServiceUnavailable, "down"
		}
		answer(w, status, parts)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.LogAttrs(ctx, slog.LevelError, "worker.health_failed", slog.Any("error", err))
		}
	}()
	log.LogAttrs(ctx, slog.LevelInfo, "worker.listening", slog.String("addr", ln.Addr().String()))
	return srv, nil
}

func answer(w http.ResponseWriter, status int, parts map[string]string) {
	word := "ok"
	if status != http.StatusOK {
		word = "unavailable"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": word, "parts": parts}) // the client may be gone
}
