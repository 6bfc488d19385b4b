package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/internal/testenv"
)

func TestReadByID(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	ours, theirs, missing := env.send(t, "one").ID, env.send(t, "two").ID, uuid.New()
	pool := testenv.PoolOn(t, env["DATABASE_URL"])
	if _, err := pool.Exec(t.Context(), "UPDATE messages SET direction = 'inbound', status = 'received', settled_at = now() WHERE id = $1", theirs); err != nil {
		t.Fatal(err)
	}
	env.run(t, "messages", "read").want(t, exitUsage)
	for range 2 { // asking twice is one
		got := env.run(t, "messages", "read", "-o", "json", theirs.String(), ours.String(), missing.String()).want(t, exitFailed)
		if n := as[counted](t, got).Count; n != 1 || !strings.Contains(got.stderr, ours.String()+": only an inbound message can be marked as read") ||
			!strings.Contains(got.stderr, missing.String()+": There is no such message.") {
			t.Errorf("%d, stderr: %s", n, got.stderr)
		}
	}
	var n int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM read_receipts WHERE message_id = $1 AND next_attempt_at IS NOT NULL", theirs).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d receipts, %v", n, err)
	}
}
