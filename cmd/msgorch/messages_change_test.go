package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/internal/testenv"
)

// status returns where a message is.
func (e environment) status(t *testing.T, id uuid.UUID) (status string) {
	t.Helper()
	err := testenv.PoolOn(t, e["DATABASE_URL"]).QueryRow(t.Context(), `SELECT status FROM messages WHERE id = $1`, id).Scan(&status)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// fails makes a message one that was tried and failed.
func (e environment) fails(t *testing.T, id uuid.UUID) {
	t.Helper()
	_, err := testenv.PoolOn(t, e["DATABASE_URL"]).Exec(t.Context(),
		`UPDATE messages SET status = 'failed', attempt = 1, stopped_at = now(), settled_at = now() WHERE id = $1`, id)
	if err != nil {
		t.Fatal(err)
	}
}

func TestCancelByID(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	one, two, sentAlready := env.send(t, "one").ID, env.send(t, "two").ID, env.send(t, "three").ID
	env.reach(t, sentAlready.String(), "delivered", "")
	missing := uuid.New()

	got := env.run(t, "messages", "cancel", "-o", "json", one.String(), sentAlready.String(), missing.String(), two.String()).want(t, exitFailed)
	if n := as[counted](t, got).Count; n != 2 || env.status(t, one) != "canceled" || env.status(t, two) != "canceled" {
		t.Errorf("canceled %d: %s, %s", n, env.status(t, one), env.status(t, two))
	}
	if !strings.Contains(got.stderr, sentAlready.String()+": only a message that is not sent yet can be canceled; it is delivered") ||
		!strings.Contains(got.stderr, missing.String()+": There is no such message.") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

func TestRetryByID(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	id := env.send(t, "one").ID
	env.fails(t, id)
	got := env.run(t, "messages", "retry", id.String()).want(t, exitOK)
	if got.stdout != "1 queued again\n" || env.status(t, id) != "queued" {
		t.Errorf("%q, status %s", got.stdout, env.status(t, id))
	}
}

func TestCancelAndRetryByFilter(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	promotion, other, failed := env.send(t, "promotion of june").ID, env.send(t, "other").ID, env.send(t, "promotion").ID
	env.fails(t, failed)

	got := env.run(t, "messages", "cancel", "--instance", "sales", "--q", "promotion", "--since", "1h").want(t, exitOK)
	if got.stdout != "1 canceled\n" || env.status(t, promotion) != "canceled" || env.status(t, other) != "queued" {
		t.Errorf("%q, statuses %s, %s", got.stdout, env.status(t, promotion), env.status(t, other))
	}
	got = env.run(t, "messages", "retry", "--chat", "+5215550000001", "--status", "failed", "-o", "json").want(t, exitOK)
	if n := as[counted](t, got).Count; n != 1 || env.status(t, failed) != "queued" {
		t.Errorf("retried %d, status %s", n, env.status(t, failed))
	}
	env.run(t, "messages", "cancel", "--instance", "nobody").want(t, exitFailed)
}

func TestCancelAndRetryMustBeToldWhich(t *testing.T) {
	t.Parallel()
	env := environment{"DATABASE_URL": "postgres://127.0.0.1:1/none?connect_timeout=1"}
	tests := map[string][]string{
		"nothing":  nil,
		"no words": {"--q", "  "},
		"both":     {uuid.NewString(), "--status", "failed"},
		"no id":    {"42"},
		"bad time": {"--since", "yesterday"},
	}
	for name, args := range tests {
		for _, verb := range []string{"cancel", "retry"} {
			t.Run(verb+" "+name, func(t *testing.T) {
				t.Parallel()
				env.run(t, append([]string{"messages", verb}, args...)...).want(t, exitUsage)
			})
		}
	}
}
