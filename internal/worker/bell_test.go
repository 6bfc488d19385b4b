package worker_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/logging"
	"github.com/msgorch/msgorch/internal/queue"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/internal/worker"
	"github.com/msgorch/msgorch/tasks"
)

// looks counts how often a server looked for a task.
type looks struct {
	redis.UniversalClient
	count atomic.Int64
}

func (l *looks) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	l.count.Add(1)
	return l.UniversalClient.EvalSha(ctx, sha, keys, args...)
}

func (l *looks) Exists(ctx context.Context, keys ...string) *redis.IntCmd {
	l.count.Add(1)
	return l.UniversalClient.Exists(ctx, keys...)
}

func (l *looks) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	l.count.Add(1)
	return l.UniversalClient.Pipelined(ctx, fn)
}

// ringing starts an asynq server behind a Bell, whose tasks go to done.
func ringing(t *testing.T) (l *looks, client *asynq.Client, done chan string) {
	t.Helper()
	l, client, done, listen := silent(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan struct{})
	go func() { listen(ctx); close(heard) }()
	t.Cleanup(func() { cancel(); <-heard })
	return l, client, done
}

// silent is ringing before anybody listens: one bell rings in all databases of a
// Redis, so that servers hear those of other tests.
func silent(t *testing.T) (l *looks, client *asynq.Client, done chan string, listen func(context.Context)) {
	t.Helper()
	opt := testenv.RedisOpt(t, testenv.Redis(t))
	rdb := opt.MakeRedisClient().(redis.UniversalClient)
	l = &looks{UniversalClient: rdb}
	stop := make(chan struct{})
	bell := worker.NewBell(stop)
	queues := map[string]int{tasks.QueueCritical: 6, tasks.QueueDefault: 3, tasks.QueueBulk: 1}
	server := asynq.NewServerFromRedisClient(bell.Client(l, slices.Collect(maps.Keys(queues))), asynq.Config{
		Concurrency: 4, Queues: queues, TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: 100 * time.Millisecond, Logger: logging.Asynq(slog.New(slog.DiscardHandler)),
	})
	done = make(chan string, 100)
	if err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		done <- task.Type()
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(stop)
		server.Shutdown()
		_ = rdb.Close()
	})
	return l, asynq.NewClientFromRedisClient(rdb), done, func(ctx context.Context) { bell.Run(ctx, rdb) }
}

func enqueue(t *testing.T, client *asynq.Client, name, queue string) {
	t.Helper()
	if _, err := client.EnqueueContext(t.Context(), asynq.NewTask(name, nil), asynq.Queue(queue)); err != nil {
		t.Fatal(err)
	}
}

func TestTasksAreFoundWithAndWithoutTheBell(t *testing.T) {
	t.Parallel()
	l, client, done := ringing(t)
	for i, name := range []string{"a", "b", "c", "d"} {
		enqueue(t, client, name, []string{tasks.QueueBulk, tasks.QueueCritical}[i%2])
		if i%2 == 0 {
			queue.Ring(t.Context(), l)
		}
		select {
		case got := <-done:
			if got != name {
				t.Errorf("ran %s, want %s", got, name)
			}
		case <-time.After(time.Minute):
			t.Fatalf("task %s was not found", name)
		}
	}
}

func TestATaskThatWasToComeLaterComes(t *testing.T) {
	t.Parallel()
	_, client, done := ringing(t)
	if _, err := client.EnqueueContext(t.Context(), asynq.NewTask("later", nil), asynq.Queue(tasks.QueueBulk), asynq.ProcessIn(time.Second)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it was not found")
	}
}

func TestAnIdleServerSeldomLooks(t *testing.T) {
	t.Parallel()
	l, _, _, _ := silent(t)
	began := time.Now()
	<-time.After(2 * time.Second)
	// What asynq asks when it starts, and a look each half of a second at what is there
	// and at what was to come later, together; apart when a busy machine makes it late.
	if n, most := l.count.Load(), int64(time.Since(began).Seconds()*4)+12; n == 0 || n > most {
		t.Errorf("it looked %d times, want at most %d", n, most)
	}
}

func TestAPausedQueueThatIsNotEmptyIsSeldomLookedAt(t *testing.T) {
	t.Parallel()
	l, client, done, _ := silent(t)
	inspector := asynq.NewInspectorFromRedisClient(l.UniversalClient)
	if err := inspector.PauseQueue(tasks.QueueBulk); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, "waits", tasks.QueueBulk)
	l.count.Store(0)
	began := time.Now()
	<-time.After(time.Second)
	if n, most := l.count.Load(), int64(time.Since(began).Seconds()*100); n == 0 || n > most {
		t.Errorf("it looked %d times, want at most %d", n, most)
	}
	if err := inspector.UnpauseQueue(tasks.QueueBulk); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it was not found after the queue went on")
	}
}
