package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

// withInstance is servers with an instance "sales".
func withInstance(t *testing.T) environment {
	t.Helper()
	env := servers(t)
	env.run(t, "instances", "put", "sales").want(t, exitOK)
	return env
}

// send sends and returns what was accepted.
func (e environment) send(t *testing.T, args ...string) sent {
	t.Helper()
	args = append([]string{"send", "-o", "json", "--instance", "sales", "--to", "+5215550000001"}, args...)
	return as[sent](t, e.run(t, args...).want(t, exitOK))
}

// reach gives a message a status, as if a worker had.
func (e environment) reach(t *testing.T, id, status, code string) {
	t.Helper()
	pool := testenv.PoolOn(t, e["DATABASE_URL"])
	_, err := pool.Exec(t.Context(), `UPDATE messages SET status = $2::message_status, error_code = NULLIF($3, ''), error_text = NULLIF($3, ''),
		accepted_at = CASE WHEN $2 = 'accepted' THEN now() ELSE accepted_at END,
		delivered_at = CASE WHEN $2 = 'delivered' THEN now() ELSE delivered_at END,
		stopped_at = CASE WHEN $2 = 'failed' THEN now() END
		WHERE id = $1`, id, status, code)
	if err != nil {
		t.Error(err)
	}
}

func TestSendStoresAndQueues(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	got := env.send(t, "--priority", "critical", "help") // which is a text here, not a cry
	if got.Status != "queued" || got.Chat != "5215550000001@s.whatsapp.net" || got.Replayed {
		t.Errorf("sent %+v", got)
	}
	inspector := asynq.NewInspector(testenv.RedisOpt(t, env["REDIS_URL"]))
	defer func() { _ = inspector.Close() }()
	task, err := inspector.GetTaskInfo(tasks.QueueCritical, "message:send:"+got.ID.String())
	if err != nil || !strings.Contains(string(task.Payload), `"text":"help"`) {
		t.Errorf("task %v, %v", task, err)
	}
}

func TestSendReadsStandardInput(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	env.feed(t, "one\ntwo\n", "send", "--instance", "sales", "--to", "+5215550000001", "-").want(t, exitOK)
	list := env.run(t, "messages", "list", "-o", "json").want(t, exitOK)
	if !strings.Contains(list.stdout, `"one\ntwo"`) {
		t.Errorf("stored:\n%s", list.stdout)
	}
}

func TestSameKeyIsTheSameMessage(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	first, again := env.send(t, "--key", "k", "Hola"), env.send(t, "--key", "k", "Hola")
	if first.ID != again.ID || !again.Replayed {
		t.Errorf("first %+v, again %+v", first, again)
	}
	got := env.run(t, "send", "--instance", "sales", "--to", "+5215550000001", "--key", "k", "hunter2").want(t, exitFailed)
	if !strings.Contains(got.stderr, "key") || strings.Contains(got.stderr, "hunter2") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

func TestSendAtTakesATimeOrADuration(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	for _, at := range []string{"90m", time.Now().Add(time.Hour).Format(time.RFC3339)} {
		if got := env.send(t, "--send-at", at, "--expires-at", "10h", "later"); got.Status != "scheduled" {
			t.Errorf("at %s: %+v", at, got)
		}
	}
	env.run(t, "send", "--instance", "sales", "--to", "+5215550000001", "--send-at", "-1h", "x").want(t, exitUsage)
}

func TestMessageIsKeptWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	env := withInstance(t).and("REDIS_URL", "redis://127.0.0.1:1")
	got := env.run(t, "send", "--instance", "sales", "--to", "+5215550000001", "Hola").want(t, exitOK)
	if !strings.Contains(got.stderr, "warning: Redis") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

func TestWaitTellsWhatBecameOfTheMessage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status, code string
		want         int
		says         string
	}{
		"accepted":    {status: "accepted", want: exitOK},
		"failed":      {status: "failed", code: "number_not_on_whatsapp", want: exitFailed, says: "the message is failed"},
		"still there": {status: "sending", want: exitFailed, says: "still sending"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := withInstance(t)
			id := env.send(t, "--key", "k", "Hola").ID.String()
			wait := "900ms"
			if tt.status == "sending" {
				env.reach(t, id, tt.status, tt.code)
			} else {
				wait = "5m"
				time.AfterFunc(200*time.Millisecond, func() { env.reach(t, id, tt.status, tt.code) })
			}

			got := env.run(t, "send", "--instance", "sales", "--to", "+5215550000001", "--key", "k", "--wait", wait, "Hola").want(t, tt.want)
			if !strings.Contains(got.stdout, tt.status) || !strings.Contains(got.stdout, tt.code) || !strings.Contains(got.stderr, tt.says) {
				t.Errorf("stdout %s, stderr %s", got.stdout, got.stderr)
			}
		})
	}
}

func TestWaitCanBeInterrupted(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	ctx, cancel := context.WithCancel(t.Context())
	pool := testenv.PoolOn(t, env["DATABASE_URL"])
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for stored := 0; stored == 0; <-tick.C { // it waits from then on
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM messages").Scan(&stored); err != nil {
				t.Error(err)
				return
			}
		}
	})
	got := env.runIn(ctx, "", "send", "--instance", "sales", "--to", "+5215550000001", "--wait", "1m", "Hola").want(t, exitFailed)
	if !strings.Contains(got.stderr, "interrupted") {
		t.Errorf("stderr %s", got.stderr)
	}
}
