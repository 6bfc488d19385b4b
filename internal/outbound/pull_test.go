package outbound_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

func TestAPullerGoesOnWhenSomebodyElseHasOneInHand(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	store := outbox.New(r.pool, testenv.Client(t, testenv.Redis(t)))
	const messages = 40 // more than one process may have in hand of an instance
	for n := range messages {
		if _, err := store.Store(t.Context(), tasks.SendMessage{Instance: "sales", To: fmt.Sprintf("+5215550%06d", n), Text: "Hola"}); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := r.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM messages ORDER BY seq LIMIT 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	r.Pull(t.Context(), "sales")
	eventually(t, func() bool { return r.sent(t) == messages-1 })
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Pull(t.Context(), "sales")
	eventually(t, func() bool { return r.sent(t) == messages })
}

// sent counts what its gateway took.
func (r *room) sent(t *testing.T) (n int) {
	t.Helper()
	if err := r.pool.QueryRow(t.Context(), "SELECT count(*) FROM messages WHERE status = 'accepted'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
