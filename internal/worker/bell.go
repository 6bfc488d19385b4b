package worker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/queue"
)

// How often a server that found every queue empty looks again by itself: often
// while there is work now and then, and less often the longer there has been none.
// What the API and package outbox queue rings the bell; what other programs enqueue
// is found by looking.
const (
	lookOften  = 20 * time.Millisecond
	lookSeldom = 100 * time.Millisecond
	lookRarely = 500 * time.Millisecond
	restless   = 2 * time.Second        // after the last task it looks often
	awake      = 10 * time.Second       // and then seldom
	knownFor   = lookRarely + lookOften // how long it is known whether anything is to come later
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

// Client returns the client for one asynq server, which serves these queues. It
// must not be asked for once Run runs.
func (b *Bell) Client(client redis.UniversalClient, queues []string) redis.UniversalClient {
	rung := make(chan struct{}, 1)
	b.rung = append(b.rung, rung)
	p := &patientClient{UniversalClient: client, rung: rung, stop: b.stop}
	for _, name := range queues {
		key := "asynq:{" + name + "}:"
		p.pending = append(p.pending, key+"pending")
		p.delayed = append(p.delayed, key+"scheduled", key+"retry")
	}
	return p
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

// patientClient is a Redis client for one asynq server, which asks each of its
// queues in turn for a task, with a script, and begins anew when all are empty or
// it has got one. This one first looks at all of them at once, answers for the
// empty ones by itself, and holds the server back while there are only such.
// Likewise it asks for all tasks together that were to come later. The scripts
// are known by their keys, which are those of asynq 0.26.
type patientClient struct {
	redis.UniversalClient
	pending []string // keys of the queues
	delayed []string // and of what is to come later
	rung    <-chan struct{}
	stop    <-chan struct{}

	// Only the server's one fetching goroutine uses these.
	filled map[string]bool // queues that were not empty when the round began
	left   int             // queues of the round that were not asked for yet
	vain   bool            // the last round found nothing
	busy   time.Time       // when a task was last found

	// Whoever looks notes it, for the other one.
	mu      sync.Mutex
	coming  bool      // whether anything was to come later
	noticed time.Time // when that was so
}

// EvalSha implements redis.Scripter.
func (p *patientClient) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if len(keys) == 2 && slices.Contains(p.delayed, keys[0]) && !p.mayForward(ctx) {
		return redis.NewCmdResult(int64(0), nil)
	}
	if len(keys) != 4 || !strings.HasSuffix(keys[0], ":pending") || !strings.HasSuffix(keys[3], ":lease") {
		return p.UniversalClient.EvalSha(ctx, sha, keys, args...)
	}
	if p.left == 0 {
		p.begin(ctx)
	}
	p.left--
	if !p.filled[keys[0]] {
		return redis.NewCmdResult(nil, redis.Nil)
	}
	cmd := p.UniversalClient.EvalSha(ctx, sha, keys, args...)
	if cmd.Err() == nil {
		p.left, p.vain, p.busy = 0, false, time.Now()
	}
	return cmd
}

// begin begins a round when there may be a task.
func (p *patientClient) begin(ctx context.Context) {
	p.left = len(p.pending)
	for {
		if p.vain && !p.rest(ctx) {
			return
		}
		p.filled, p.vain = p.look(ctx), true // until one is found; a queue that is not empty may be paused
		if len(p.filled) > 0 {
			return
		}
	}
}

// look returns the queues that are not empty; all of them when Redis does not
// say, so that the server hears of that.
func (p *patientClient) look(ctx context.Context) map[string]bool {
	found := make([]*redis.IntCmd, len(p.pending))
	_, err := p.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range p.pending {
			found[i] = pipe.Exists(ctx, key)
		}
		return nil
	})
	filled := map[string]bool{}
	for i, key := range p.pending {
		if err != nil || found[i].Val() > 0 {
			filled[key] = true
		}
	}
	return filled
}

// rest returns when there may be a task, or, with false, when the worker stops.
func (p *patientClient) rest(ctx context.Context) bool {
	for {
		wait := lookRarely
		switch idle := time.Since(p.busy); {
		case idle < restless:
			wait = lookOften
		case idle < awake:
			wait = lookSeldom
		}
		select {
		case <-p.rung:
			return true
		case <-p.stop:
			return false
		case <-time.After(wait):
			if p.peek(ctx) {
				return true
			}
		}
	}
}

// peek reports whether a task may be there. It looks at what is to come later
// with the same round trip, so that nobody else need look while the server rests.
func (p *patientClient) peek(ctx context.Context) bool {
	var waiting, coming *redis.IntCmd
	_, _ = p.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each answer has the error
		waiting, coming = pipe.Exists(ctx, p.pending...), pipe.Exists(ctx, p.delayed...)
		return nil
	})
	p.notice(isThere(coming))
	return isThere(waiting)
}

func (p *patientClient) notice(coming bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming, p.noticed = coming, time.Now()
}

// mayForward reports whether there is anything that was to come later. A server
// asks for each of its queues in turn.
func (p *patientClient) mayForward(ctx context.Context) bool {
	p.mu.Lock()
	coming, fresh := p.coming, time.Since(p.noticed) <= knownFor
	p.mu.Unlock()
	if !fresh {
		coming = isThere(p.Exists(ctx, p.delayed...))
		p.notice(coming)
	}
	return coming
}

// isThere reports whether one of the keys may be there. A cluster, whose queues
// are on several nodes, does not say.
func isThere(n *redis.IntCmd) bool { return n.Err() != nil || n.Val() > 0 }
