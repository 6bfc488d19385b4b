package outbound_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// A renewal and the recording of outcomes touch the same rows, in any order.
func TestRenewingWaitsForNobody(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	q := db.New(pool)
	if _, err := q.EnsureInstance(t.Context(), "sales"); err != nil {
		t.Fatal(err)
	}
	ob := outbox.New(pool, testenv.Client(t, testenv.Redis(t)))
	var ids []uuid.UUID
	for _, to := range []string{"5215550000001", "5215550000002"} {
		r, err := ob.Send(t.Context(), tasks.SendMessage{Instance: "sales", To: to, Text: "Hola"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	if heads, err := q.ClaimHeads(t.Context(), db.ClaimHeadsParams{Ids: ids, Lease: time.Minute}); err != nil || len(heads) != 2 {
		t.Fatalf("claimed %d, %v", len(heads), err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "UPDATE messages SET error_code = NULL WHERE id = $1", ids[0]); err != nil { // its outcome is being recorded
		t.Fatal(err)
	}
	// Whoever waits for a lock is refused after a while.
	renewed, err := q.RenewLeases(t.Context(), db.RenewLeasesParams{Lease: time.Minute, Ids: ids, Attempts: []int32{1, 1}})
	if err != nil || len(renewed) != 1 || renewed[0] != ids[1] {
		t.Errorf("renewed %v, %v, want the one that nobody writes to", renewed, err)
	}
}
