package worker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/tasks"
)

// receipt stores an inbound message whose writer is to be told that it was read.
func (y yard) receipt(t *testing.T, due time.Duration) tasks.ReadMessage {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	y.exec(t, `WITH chat AS (INSERT INTO chats (instance_id, jid) VALUES (1, $2) RETURNING id)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, gateway_message_id, created_at, settled_at)
		SELECT $1::uuid, 1, id, 'inbound', 'received', 'text', 'Hola', $1::text, now(), now() FROM chat`, id, id.String()+"@lid")
	asked, err := db.New(y.pool).AskToRead(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	y.exec(t, "UPDATE read_receipts SET next_attempt_at = $2 WHERE message_id = $1", id, time.Now().Add(due))
	return tasks.ReadMessage{ID: id.String(), Instance: "sales", Asked: asked}
}

// reads returns how many tasks each receipt has that will run.
func (y yard) reads(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, task := range y.pending(t, "default") {
		var m tasks.ReadMessage
		if task.Type != "message:read" {
			continue
		}
		if err := json.Unmarshal(task.Payload, &m); err != nil {
			t.Fatal(err)
		}
		count[m.ID]++
	}
	return count
}

func TestAReceiptThatRedisForgotIsQueuedAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	known, lost := y.receipt(t, -time.Minute), y.receipt(t, -time.Minute)
	y.enqueue(t, known)
	done := y.receipt(t, -time.Minute)
	y.exec(t, "UPDATE read_receipts SET done_at = now(), next_attempt_at = NULL WHERE message_id = $1", done.ID)
	y.receipt(t, time.Hour) // somebody has it
	want := map[string]int{known.ID: 1, lost.ID: 1}
	for range 2 {
		y.sweep(t, patience)
		if diff := cmp.Diff(want, y.reads(t)); diff != "" {
			t.Errorf("queued (-want +got):\n%s", diff)
		}
		if err := y.rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	y.exec(t, "UPDATE instances SET paused_at = now()")
	y.sweep(t, 0)
	if got := y.reads(t); len(got) != 0 {
		t.Errorf("a paused instance has %v queued", got)
	}
	anything, err := db.New(y.pool).AnythingOpen(t.Context(), time.Now())
	if err != nil || !anything {
		t.Errorf("the relay would not look: %v, %v", anything, err)
	}
}
