package worker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/queue"
)

// How often a server that found every queue empty looks again by itself: often
// while there is work now and then, and less often when there has been none for
// a while. What the API and package outbox queue rings the bell; what other
// programs enqueue is found by looking.
const (
	lookOften  = 20 * time.Millisecond
	lookSeldom = 100 * time.Millisecond
	restless   = 2 * time.Second // after the last task
)

// Bell has asynq's servers look for work at the moment when there is some. asynq
// only sleeps and looks again, so that either a lone message waits or an idle
// worker costs a core's percents. Make it with NewBell.
type Bell struct {
	rung []chan struct{} // one for each server; holds a token when it should look
	stop <-chan struct{}
}

// NewBell returns a Bell. Once stop is closed it holds nobody back.
func NewBell(stop <-chan struct{}) *Bell { return &Bell{stop: stop} }

// Client returns the client for one asynq server, which serves as many queues.
// It must not be asked for once Run runs.
func (b *Bell) Client(client redis.UniversalClient, queues int) redis.UniversalClient {
	rung := make(chan struct{}, 1)
	b.rung = append(b.rung, rung)
	return &patientClient{UniversalClient: client, queues: queues, rung: rung, stop: b.stop}
}

// Run listens for the bell until ctx ends.
func (b *Bell) Run(ctx context.Context, client redis.UniversalClient) {
	sub := client.Subscribe(ctx, queue.Bell)
	defer func() { _ = sub.Close() }()
	heard := sub.Channel()
	for {
		select {
		case <-heard:
			for _, rung := range b.rung {
				select {
				case rung <- struct{}{}:
				default: // it looks anyway
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// patientClient is a Redis client that answers "nothing" to the last of a
// server's empty queues only when there may be something, or after a while.
type patientClient struct {
	redis.UniversalClient
	queues int
	rung   <-chan struct{}
	stop   <-chan struct{}

	// Only the server's one fetching goroutine uses these.
	empty int       // queues in a row
	busy  time.Time // when a task was last found
}

// EvalSha implements redis.Scripter. The script that takes a task is known by its
// keys, which are those of asynq 0.26.
func (p *patientClient) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	cmd := p.UniversalClient.EvalSha(ctx, sha, keys, args...)
	if len(keys) != 4 || !strings.HasSuffix(keys[0], ":pending") || !strings.HasSuffix(keys[3], ":lease") {
		return cmd
	}
	switch {
	case errors.Is(cmd.Err(), redis.Nil):
		if p.empty++; p.empty >= p.queues {
			p.empty = 0
			p.rest()
		}
	case cmd.Err() == nil:
		p.empty, p.busy = 0, time.Now()
	}
	return cmd
}

func (p *patientClient) rest() {
	wait := lookSeldom
	if time.Since(p.busy) < restless {
		wait = lookOften
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.rung:
	case <-timer.C:
	case <-p.stop:
	}
}
