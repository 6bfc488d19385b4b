package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const taskType = "message:send"

// startAsynqAPI queues each message as one task. When a request is answered,
// Redis has the task; what a crash of Redis loses is Redis' setting, not ours.
func startAsynqAPI(ctx context.Context, cfg config, mux *http.ServeMux) (stop func() error, err error) {
	rdb, err := openRedis(ctx, cfg.redisURL, callers)
	if err != nil {
		return nil, err
	}
	client := asynq.NewClientFromRedisClient(rdb)
	mux.HandleFunc("POST /v1/messages", accept(func(ctx context.Context, m message) error {
		payload, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode task: %w", err)
		}
		// No Retention: asynq deletes a task as soon as it is done, unless told otherwise.
		_, err = client.EnqueueContext(ctx, asynq.NewTask(taskType, payload),
			asynq.TaskID(m.ID), asynq.Queue("default"), asynq.MaxRetry(25), asynq.Timeout(sendTimeout))
		return err
	}))
	return rdb.Close, nil
}

// startAsynqWorker sends what startAsynqAPI queues.
func startAsynqWorker(ctx context.Context, cfg config) (stop func() error, err error) {
	gw, err := newGateway(cfg.gatewayURL)
	if err != nil {
		return nil, err
	}
	// Every task in hand may be marked as done at the same time; the rest is for
	// asynq's own loops, such as the one that fetches.
	rdb, err := openRedis(ctx, cfg.redisURL, cfg.concurrency+8)
	if err != nil {
		return nil, err
	}
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: cfg.concurrency,
		// How long asynq sleeps when it finds its queue empty. Its default, 1 s,
		// would be most of the time that a message takes under light load. It warns
		// of much shorter ones, which keep Redis busy; this is MsgOrch's own. A queue
		// that is not empty is read without a pause.
		TaskCheckInterval: 20 * time.Millisecond,
		ShutdownTimeout:   patience,
		LogLevel:          asynq.ErrorLevel,
	})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		var m message
		if err := json.Unmarshal(task.Payload(), &m); err != nil {
			return fmt.Errorf("decode task: %w: %w", err, asynq.SkipRetry)
		}
		return gw.send(ctx, m)
	}))
	if err != nil {
		return nil, fmt.Errorf("start asynq: %w", err)
	}
	return func() error {
		server.Shutdown()
		return rdb.Close()
	}, nil
}

// openRedis connects with up to size connections. go-redis' default is ten for
// each CPU, which on a small machine makes 64 callers queue for twenty.
func openRedis(ctx context.Context, redisURL string, size int) (*redis.Client, error) {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	options.PoolSize = size
	rdb := redis.NewClient(options)
	if err := rdb.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return rdb, nil
}
