// Package queue tells Redis about rows that are committed. Nobody waits for
// it, and nothing depends on it: what Redis does not hear, the workers' relay
// finds in PostgreSQL.
package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/tasks"
)

// Bounds that keep a Redis that is away from holding on to memory.
const (
	width   = 64              // commits whose tasks are on the way
	timeout = 5 * time.Second // for one commit's tasks
)

// Bell is the Redis channel on which workers hear that there is work.
const Bell = "msgorch:work"

// Ring tells the workers that there is work. They would notice by themselves, a
// little later; so an error is nothing to act on.
func Ring(ctx context.Context, client redis.UniversalClient) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	_ = client.Publish(ctx, Bell, "").Err()
}

// ErrBusy means that too many tasks were on the way to Redis already.
var ErrBusy = errors.New("too many tasks are waiting for Redis")

// Queue pushes tasks. It is safe for concurrent use. Make one with New.
type Queue struct {
	client  *asynq.Client
	onPush  func(error)
	slots   chan struct{}
	pushing sync.WaitGroup
}

// New returns a Queue on the caller's client. onPush hears of every push: nil, or
// why Redis did not take it all.
func New(client *asynq.Client, onPush func(error)) *Queue {
	return &Queue{client: client, onPush: onPush, slots: make(chan struct{}, width)}
}

// Push starts telling Redis of work. The channel it returns is closed when
// Redis has taken it all, or failed to.
func (q *Queue) Push(ctx context.Context, work []tasks.Payload) <-chan struct{} {
	done := make(chan struct{})
	select {
	case q.slots <- struct{}{}:
	default:
		close(done)
		q.onPush(ErrBusy)
		return done
	}
	q.pushing.Go(func() {
		defer func() { <-q.slots; close(done) }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		var failed error
		for _, p := range work {
			if err := tasks.Enqueue(ctx, q.client, p); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
				failed = err // one is as good as another: Redis is away
			}
		}
		q.onPush(failed)
	})
	return done
}

// Close waits until every push is over, or ctx ends.
func (q *Queue) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() { q.pushing.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
