// Package coalesce lets callers that happen to wait at the same time share one
// piece of work, such as one SQL statement for the rows of all of them. Nobody
// waits for company where there is none: a caller who comes alone is served alone,
// at once.
package coalesce

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Work answers a batch item by item, in the same order.
type Work[In, Out any] func(ctx context.Context, batch []In) ([]Out, error)

// Options says how callers share. All fields are required but Split.
type Options struct {
	Width   int           // batches under way at a time; a further one begins only when the last is late
	Max     int           // items in a batch
	Timeout time.Duration // of one batch; it does not end with any one caller
	// Split tells whether a failed batch may be one item's fault. If so, each
	// item is tried alone, and no bad item fails its neighbours. Nil: never.
	Split func(error) bool
}

// late is after how long a batch is not waited for any longer. Until then it is
// better to gather: one large batch costs less than two small ones, but a lock
// that one batch waits for must not hold up everybody.
const late = 50 * time.Millisecond

// rest is for how long the next batch gathers at most after one that was shared. It
// begins sooner when as many wait as went in the last: more are not to be expected, and
// a machine that waits for them has nothing to do. Small batches cost several times as
// much for each item, and keep a busy machine from everything else: hence 4 ms after one
// that was over soon, or, where even that is long, eight times as long as it took. When
// servers are far, batches of 4 ms are small, too: hence twice as long as a slow one took;
// more makes those wait who met it. After one caller alone the next begins at once, and so
// it does after half of Max, which is many enough.
func rest(took time.Duration) time.Duration {
	return min(max(2*took, min(8*took, 4*time.Millisecond)), 15*time.Millisecond)
}

// Group shares the work of callers. Make one with New; it is safe for
// concurrent use, and holds no goroutine while nobody waits.
type Group[In, Out any] struct {
	work Work[In, Out]
	o    Options

	mu      sync.Mutex
	running int
	fresh   int // of those running, which are not late
	waiting []call[In, Out]
	enough  int           // as many make the one that gathers begin; 0: nobody gathers
	met     chan struct{} // closed when enough wait
}

type call[In, Out any] struct {
	in   In
	done chan result[Out]
}

type result[Out any] struct {
	out Out
	err error
}

// New returns a Group that shares work.
func New[In, Out any](o Options, work Work[In, Out]) *Group[In, Out] {
	return &Group[In, Out]{work: work, o: o}
}

// Do hands in to the next batch and returns its answer. When ctx ends first it
// returns ctx's error, and the work may be done all the same.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	c := call[In, Out]{in: in, done: make(chan result[Out], 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if len(g.waiting) == g.enough {
		close(g.met)
	}
	g.lead(ctx)
	g.mu.Unlock()
	select {
	case r := <-c.done:
		return r.out, r.err
	case <-ctx.Done():
		var none Out
		return none, ctx.Err()
	}
}

// lead starts a goroutine for those who wait, if there should be one more. The
// caller holds the lock.
func (g *Group[In, Out]) lead(ctx context.Context) {
	if len(g.waiting) > 0 && g.fresh == 0 && g.running < g.o.Width {
		g.running++
		g.fresh++
		go g.drain(context.WithoutCancel(ctx))
	}
}

// drain works on batches until nobody waits, or until another has begun to
// because one was late.
func (g *Group[In, Out]) drain(ctx context.Context) {
	isLate := false
	for {
		g.mu.Lock()
		if isLate && g.fresh == 0 {
			isLate = false
			g.fresh++
		}
		if len(g.waiting) == 0 || isLate {
			g.running--
			if !isLate {
				g.fresh--
			}
			g.mu.Unlock()
			return
		}
		n := min(len(g.waiting), g.o.Max)
		batch := g.waiting[:n:n]
		if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
			g.waiting = nil // let the array go
		}
		g.mu.Unlock()
		began := time.Now()
		isLate = g.watch(ctx, func() { g.serve(ctx, batch) })
		if n > 1 && n < g.o.Max/2 && !isLate {
			g.gather(n, rest(time.Since(began)))
		}
	}
}

// gather waits for as many callers as the last batch had, or until a time is up.
// One at a time gathers: a batch that is late does not.
func (g *Group[In, Out]) gather(last int, most time.Duration) {
	g.mu.Lock()
	if len(g.waiting) >= last {
		g.mu.Unlock()
		return
	}
	met := make(chan struct{})
	g.enough, g.met = last, met
	g.mu.Unlock()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-met:
	case <-timer.C:
	}
	g.mu.Lock()
	g.enough = 0
	g.mu.Unlock()
}

// watch runs work and reports whether it was late. As soon as it is, those who
// wait meanwhile are served by another.
func (g *Group[In, Out]) watch(ctx context.Context, work func()) bool {
	timer := time.AfterFunc(late, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.fresh--
		g.lead(ctx)
	})
	work()
	return !timer.Stop()
}

// serve works on one batch and tells each caller its answer.
func (g *Group[In, Out]) serve(ctx context.Context, batch []call[In, Out]) {
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	out, err := g.try(ctx, in)
	if err != nil && len(batch) > 1 && g.o.Split != nil && g.o.Split(err) {
		for i := range batch {
			g.serve(ctx, batch[i:i+1])
		}
		return
	}
	for i, c := range batch {
		r := result[Out]{err: err}
		if err == nil {
			r.out = out[i]
		}
		c.done <- r
	}
}

// try runs the work. A panic is the batch's error, because it must reach the
// callers and not end the process from a goroutine that none of them owns.
func (g *Group[In, Out]) try(ctx context.Context, in []In) (out []Out, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("batch of %d panicked: %v", len(in), p)
		}
	}()
	out, err = g.work(ctx, in)
	if err == nil && len(out) != len(in) {
		err = fmt.Errorf("batch of %d got %d answers", len(in), len(out))
	}
	return out, err
}

// Lookup returns a Group that finds values by their keys: whoever asks together
// asks with one query. It finds nil where there is no value, and remembers
// nothing. split is Options.Split.
func Lookup[K comparable, V any](split func(error) bool, key func(V) K, query func(context.Context, []K) ([]V, error)) *Group[K, *V] {
	o := Options{Width: 4, Max: 500, Timeout: 5 * time.Second, Split: split}
	return New(o, func(ctx context.Context, keys []K) ([]*V, error) {
		values, err := query(ctx, keys)
		if err != nil {
			return nil, err
		}
		byKey := make(map[K]*V, len(values))
		for i := range values {
			byKey[key(values[i])] = &values[i]
		}
		found := make([]*V, len(keys))
		for i, k := range keys {
			found[i] = byKey[k]
		}
		return found, nil
	})
}
