package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// services is a Redis of the test's own.
type services struct {
	opt       asynq.RedisConnOpt
	client    *asynq.Client
	inspector *asynq.Inspector
}

func newRedis(t *testing.T) services {
	t.Helper()
	url := testenv.Redis(t)
	r := services{opt: testenv.RedisOpt(t, url), client: testenv.Client(t, url)}
	r.inspector = asynq.NewInspector(r.opt)
	t.Cleanup(func() { _ = r.inspector.Close() })
	return r
}

// serve runs an asynq server on mux until the test ends.
func (r services) serve(t *testing.T, mux *asynq.ServeMux) {
	t.Helper()
	srv := asynq.NewServer(r.opt, asynq.Config{
		Concurrency: 4, Queues: map[string]int{"default": 1, "bulk": 1}, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: 5 * time.Millisecond, DelayedTaskCheckInterval: 20 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Millisecond },
	})
	if err := srv.Start(mux); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
}

// enqueue hands over a task that tasks.Enqueue would not make.
func (r services) enqueue(t *testing.T, kind, payload, id string) {
	t.Helper()
	task := asynq.NewTask(kind, []byte(payload), asynq.TaskID(id), asynq.Retention(time.Hour), asynq.MaxRetry(5))
	if _, err := r.client.EnqueueContext(t.Context(), task); err != nil {
		t.Fatal(err)
	}
}

// settle waits until a task is completed or archived.
func (r services) settle(t *testing.T, id string) *asynq.TaskInfo {
	t.Helper()
	var last *asynq.TaskInfo
	eventually(t, func() bool {
		info, err := r.inspector.GetTaskInfo("default", id)
		if err != nil {
			t.Fatal(err)
		}
		last = info
		return info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived
	})
	return last
}

// eventually polls until done, for as long as a test may take.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatal("it did not happen within a minute")
		}
	}
}

func TestATaskReachesItsTypedHandler(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	got := make(chan tasks.SendMessage, 1)
	mux := asynq.NewServeMux()
	tasks.Handle(mux, func(_ context.Context, m tasks.SendMessage) error { got <- m; return nil })
	r.serve(t, mux)
	want := tasks.SendMessage{
		Key: "a", Instance: "sales", To: "+5215550000001", Text: "¿Qué tal? 🎉",
		ExpiresAt: time.Now().Add(time.Hour).UTC().Round(time.Microsecond), Metadata: map[string]any{"n": 1.5},
	}
	if err := tasks.Enqueue(t.Context(), r.client, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestAMessageWithoutANameIsNamedAfterItsTask(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	keys := make(chan string, 10)
	mux := asynq.NewServeMux()
	failed := false
	tasks.Handle(mux, func(_ context.Context, m tasks.SendMessage) error {
		keys <- m.Key
		if !failed { // one at a time: there is one task
			failed = true
			return errors.New("once more")
		}
		return nil
	})
	r.serve(t, mux)
	task, err := tasks.New(hello(""))
	if err != nil {
		t.Fatal(err)
	}
	info, err := r.client.EnqueueContext(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	want := "task:" + info.ID
	if first, second := <-keys, <-keys; first != want || second != want {
		t.Errorf("keys = %q and on its retry %q, want %q both times", first, second, want)
	}
}

func TestAMessageWithANameKeepsIt(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	got := make(chan tasks.SendMessage, 2)
	mux := asynq.NewServeMux()
	tasks.Handle(mux, func(_ context.Context, m tasks.SendMessage) error { got <- m; return nil })
	r.serve(t, mux)
	withID := hello("")
	withID.ID = "m1"
	for _, m := range []tasks.SendMessage{hello("mine"), withID} {
		if err := tasks.Enqueue(t.Context(), r.client, m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, <-got); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
	}
}

func TestHandleRefusesForGoodWhatItCannotRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kind, payload string
		want                asynq.TaskState
	}{
		{"a task of a longer name", "message:send_bulk", `{"instance":"sales","to":"5215550000001","text":"Hola"}`, asynq.TaskStateArchived},
		{"no JSON", "message:send", `hello`, asynq.TaskStateArchived},
		{"nothing", "message:send", ``, asynq.TaskStateArchived},
		{"another shape", "message:send", `[1,2]`, asynq.TaskStateArchived},
		{"another type of field", "message:send", `{"instance":"sales","to":5215550000001,"text":"Hola"}`, asynq.TaskStateArchived},
		{"an invalid message", "message:send", `{"instance":"sales","to":"5215550000001"}`, asynq.TaskStateArchived},
		{"a field of a later version", "message:send", `{"instance":"sales","to":"5215550000001","text":"Hola","sparkle":{"x":[1]}}`, asynq.TaskStateCompleted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRedis(t)
			called := false
			mux := asynq.NewServeMux()
			tasks.Handle(mux, func(context.Context, tasks.SendMessage) error { called = true; return nil })
			r.serve(t, mux)
			r.enqueue(t, tt.kind, tt.payload, "one")

			info := r.settle(t, "one")

			if info.State != tt.want {
				t.Errorf("state = %v, want %v (%s)", info.State, tt.want, info.LastErr)
			}
			if info.Retried != 0 {
				t.Errorf("retried %d times, want 0", info.Retried)
			}
			if want := tt.want == asynq.TaskStateCompleted; called != want {
				t.Errorf("handler called = %v, want %v", called, want)
			}
			if strings.Contains(info.LastErr, "Hola") {
				t.Errorf("the error repeats the payload: %s", info.LastErr)
			}
		})
	}
}

func TestEnqueueingTwiceIsADuplicate(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	for _, p := range []tasks.Payload{
		hello("a"),
		tasks.SendMessages{Batch: "b", Messages: []tasks.SendMessage{{ID: "m1"}}},
		tasks.GatewayEvent{ID: "e1"},
		tasks.FetchMedia{ID: "m1"},
		tasks.GatewayEvents{Batch: "b", Events: []tasks.GatewayEvent{{ID: "e1"}}},
	} {
		if err := tasks.Enqueue(t.Context(), r.client, p); err != nil {
			t.Fatalf("%s: %v", p.TaskType(), err)
		}
		if err := tasks.Enqueue(t.Context(), r.client, p); !errors.Is(err, tasks.ErrDuplicate) {
			t.Errorf("%s again: error = %v, want ErrDuplicate", p.TaskType(), err)
		}
	}
	for range 2 {
		if err := tasks.Enqueue(t.Context(), r.client, hello("")); err != nil {
			t.Errorf("a message without a key is one of its own each time: %v", err)
		}
	}
}

func TestEnqueueRefusesAnInvalidMessage(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	m := hello("a")
	m.Text = ""
	if err := tasks.Enqueue(t.Context(), r.client, m); !errors.Is(err, tasks.ErrInvalid) {
		t.Fatalf("error = %v, want ErrInvalid", err)
	}
	if queues, err := r.inspector.Queues(); err != nil || len(queues) != 0 {
		t.Errorf("queues = %v, %v, want none", queues, err)
	}
}

// asynq's mux matches by prefix and its conflict errors are wrapped. If either
// changes, the comments in tasks.go are out of date.
func TestAsynqSurprises(t *testing.T) {
	t.Parallel()
	t.Run("the mux matches by prefix", func(t *testing.T) {
		t.Parallel()
		mux := asynq.NewServeMux()
		called := false
		mux.HandleFunc("message:send", func(context.Context, *asynq.Task) error { called = true; return nil })
		if err := mux.ProcessTask(t.Context(), asynq.NewTask("message:send_bulk", nil)); err != nil {
			t.Fatal(err)
		}
		if !called {
			t.Error(`"message:send" was not given "message:send_bulk"`)
		}
	})
	t.Run("conflict errors are wrapped", func(t *testing.T) {
		t.Parallel()
		r := newRedis(t)
		enqueue := func(o ...asynq.Option) error {
			_, err := r.client.EnqueueContext(t.Context(), asynq.NewTask("a", nil), o...)
			return err
		}
		for _, tt := range []struct {
			option asynq.Option
			want   error
		}{{asynq.TaskID("x"), asynq.ErrTaskIDConflict}, {asynq.Unique(time.Minute), asynq.ErrDuplicateTask}} {
			if err := enqueue(tt.option); err != nil {
				t.Fatal(err)
			}
			err := enqueue(tt.option)
			if err == tt.want { //nolint:errorlint // this is what is tested
				t.Errorf("%v is not wrapped any more", tt.want)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v within", err, tt.want)
			}
		}
	})
	t.Run("an archived task keeps its id", func(t *testing.T) {
		t.Parallel()
		r := newRedis(t)
		if err := tasks.Enqueue(t.Context(), r.client, hello("a")); err != nil {
			t.Fatal(err)
		}
		if err := r.inspector.ArchiveTask("default", "message:send:sales:a"); err != nil {
			t.Fatal(err)
		}
		if err := tasks.Enqueue(t.Context(), r.client, hello("a")); !errors.Is(err, tasks.ErrDuplicate) {
			t.Errorf("error = %v, want ErrDuplicate", err)
		}
	})
}

// No bytes from Redis may panic a worker, and what decodes must encode again.
func FuzzHandle(f *testing.F) {
	for _, seed := range []string{
		`{"instance":"sales","to":"5215550000001","text":"Hola"}`, `{}`, `[]`, `null`, `"`, `{"metadata":{"a":1e308}}`,
		`{"batch":"b","messages":[{"id":"m1"}]}`, `{"batch":"b","events":[{"id":"e1"}]}`, `{"id":"e1"}`, "\xff", `{"send_at":"0000-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(seed))
	}
	mux := asynq.NewServeMux()
	handle[tasks.SendMessage](mux)
	handle[tasks.SendMessages](mux)
	handle[tasks.GatewayEvent](mux)
	handle[tasks.GatewayEvents](mux)
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, kind := range []string{"message:send", "messages:send", "gateway:event", "gateway:events", "message:sendx"} {
			err := mux.ProcessTask(t.Context(), asynq.NewTask(kind, payload))
			if err != nil && !errors.Is(err, asynq.SkipRetry) {
				t.Errorf("%s %q: %v", kind, payload, err)
			}
		}
	})
}

// handle registers a handler that fails when its payload does not survive being
// encoded.
func handle[P tasks.Payload](mux *asynq.ServeMux) {
	tasks.Handle(mux, func(_ context.Context, p P) error {
		task, err := tasks.New(p)
		if err != nil {
			return err
		}
		var again P
		if err := json.Unmarshal(task.Payload(), &again); err != nil {
			return err
		}
		second, err := tasks.New(again)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(string(task.Payload()), string(second.Payload())); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}
