package sandbox

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// queue runs events when they are due, on a bounded number of goroutines.
type queue struct {
	run func(context.Context, *event)
	max int

	mu      sync.Mutex
	waiting eventHeap
	pushed  int64 // breaks ties, so that equal times keep their order
	pending int   // waiting or running

	wake  chan struct{} // something was pushed
	ready chan *event   // from the dispatcher to the workers
	group sync.WaitGroup
}

// newQueue starts workers goroutines, and one more to wait for what is due.
// They end with ctx.
func newQueue(ctx context.Context, workers, limit int, run func(context.Context, *event)) *queue {
	q := &queue{run: run, max: limit, wake: make(chan struct{}, 1), ready: make(chan *event)}
	q.group.Go(func() { q.dispatch(ctx) })
	for range workers {
		q.group.Go(func() { q.work(ctx) })
	}
	return q
}

// wait returns when all goroutines have ended.
func (q *queue) wait() { q.group.Wait() }

// push schedules ev for ev.due. It returns false when too many wait already.
func (q *queue) push(ev *event) bool {
	q.mu.Lock()
	if q.waiting.Len() >= q.max {
		q.mu.Unlock()
		return false
	}
	q.pushed++
	q.pending++
	ev.order = q.pushed
	heap.Push(&q.waiting, ev)
	first := q.waiting[0] == ev
	q.mu.Unlock()

	if first {
		select {
		case q.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return true
}

// unfinished returns how many events wait or run.
func (q *queue) unfinished() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending
}

// next takes the first event if it is due. Otherwise it returns nil and how
// long to wait for it.
func (q *queue) next(now time.Time) (*event, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() == 0 {
		return nil, time.Hour
	}
	if wait := q.waiting[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&q.waiting).(*event), 0 //nolint:errcheck,forcetypeassert // the heap holds nothing else
}

func (q *queue) dispatch(ctx context.Context) {
	defer close(q.ready)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ev, wait := q.next(time.Now())
		if ev != nil {
			select {
			case q.ready <- ev:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (q *queue) work(ctx context.Context) {
	for ev := range q.ready {
		q.run(ctx, ev)
		q.mu.Lock()
		q.pending--
		q.mu.Unlock()
	}
}

// eventHeap implements heap.Interface: the event that is due first is on top.
type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].order < h[j].order
	}
	return h[i].due.Before(h[j].due)
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*event)) } //nolint:errcheck,forcetypeassert // see next
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
