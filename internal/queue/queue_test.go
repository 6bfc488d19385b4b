package queue_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

// A client whose server is away tries to dial in the background until it
// notices that it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func event(id string) tasks.Payload { return tasks.GatewayEvent{ID: id} }

func TestPushTellsRedisOfAllWork(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	q := queue.New(testenv.Client(t, url), func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := q.Push(ctx, []tasks.Payload{event("a"), event("b"), event("a")}) // a repeat is no failure
	cancel()                                                                 // the caller does not wait for it
	<-done
	inspector := asynq.NewInspector(testenv.RedisOpt(t, url))
	defer func() { _ = inspector.Close() }()
	for _, id := range []string{"gateway:event:a", "gateway:event:b"} {
		if _, err := inspector.GetTaskInfo("inbound", id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFailedPushIsReportedAndTheRestIsTried(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	var errs []error
	q := queue.New(testenv.Client(t, url), func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	})
	<-q.Push(t.Context(), []tasks.Payload{tasks.GatewayEvent{}, event("b")})
	if len(errs) != 1 || !errors.Is(errs[0], tasks.ErrInvalid) {
		t.Errorf("errors = %v, want one ErrInvalid", errs)
	}
	inspector := asynq.NewInspector(testenv.RedisOpt(t, url))
	defer func() { _ = inspector.Close() }()
	if _, err := inspector.GetTaskInfo("inbound", "gateway:event:b"); err != nil {
		t.Errorf("the task after the bad one: %v", err)
	}
}

// deaf is a Redis that takes connections and never answers.
func deaf(t *testing.T) (client *asynq.Client, hangUp func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	over := false
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if conns = append(conns, c); over {
				c.Close()
			}
			mu.Unlock()
		}
	}()
	client = asynq.NewClient(asynq.RedisClientOpt{Addr: ln.Addr().String(), PoolSize: 100, ReadTimeout: time.Minute, DialTimeout: time.Second})
	hangUp = sync.OnceFunc(func() {
		ln.Close()
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, c := range conns {
			c.Close()
		}
	})
	t.Cleanup(func() { hangUp(); _ = client.Close() })
	return client, hangUp
}

func TestARedisThatHangsHoldsOnToNoMoreThanItsPlaces(t *testing.T) {
	t.Parallel()
	client, hangUp := deaf(t)
	var mu sync.Mutex
	busy := 0
	q := queue.New(client, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if errors.Is(err, queue.ErrBusy) {
			busy++
		}
	})
	const pushes = 70
	var waiting []<-chan struct{}
	for range pushes {
		waiting = append(waiting, q.Push(t.Context(), []tasks.Payload{event("a")}))
	}
	over := 0
	for _, done := range waiting {
		select {
		case <-done:
			over++
		default:
		}
	}
	if want := pushes - 64; over != want || busy != want {
		t.Errorf("%d pushes are over and %d were told that it is busy, want %d", over, busy, want)
	}

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close with pushes on the way = %v, want that its time is over", err)
	}
	hangUp()
	if err := q.Close(t.Context()); err != nil {
		t.Errorf("Close after they failed = %v", err)
	}
	for i, done := range waiting {
		select {
		case <-done:
		default:
			t.Fatalf("push %d is not over after Close", i)
		}
	}
}
