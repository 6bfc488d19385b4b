package worker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/msgorch/msgorch/tasks"
)

// file stores a message whose file is due some time from now.
func (y yard) file(t *testing.T, state string, due time.Duration) uuid.UUID {
	t.Helper()
	id := y.store(t, message{status: "received", due: time.Hour})
	y.exec(t, "UPDATE messages SET settled_at = now() WHERE id = $1", id)
	y.exec(t, "INSERT INTO media (id, message_id, gateway_id, storage_key, state, next_attempt_at) VALUES ($1, $1, 'X', 'x', $2, $3)", id, state, time.Now().Add(due))
	return id
}

// fetches returns how many tasks fetch each file.
func (y yard) fetches(t *testing.T) map[uuid.UUID]int {
	t.Helper()
	count := map[uuid.UUID]int{}
	for _, task := range y.pending(t, "inbound") {
		var f tasks.FetchMedia
		if task.Type == "media:fetch" && json.Unmarshal(task.Payload, &f) == nil {
			count[uuid.MustParse(f.ID)]++
		}
	}
	return count
}

func TestFilesThatRedisDoesNotKnowOfAreFetched(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	due := y.file(t, "pending", -time.Minute)
	y.file(t, "pending", time.Hour) // waits, or is being fetched
	y.file(t, "kept", -time.Minute)
	y.file(t, "failed", -time.Minute)
	known := y.file(t, "pending", -time.Minute)
	if err := tasks.Enqueue(t.Context(), y.client, tasks.FetchMedia{ID: known.String()}); err != nil {
		t.Fatal(err)
	}
	orphan := y.file(t, "pending", -time.Minute)
	y.exec(t, "DELETE FROM messages WHERE id = $1", orphan)
	for range 2 {
		y.sweep(t, 0)
	}
	if diff := cmp.Diff(map[uuid.UUID]int{due: 1, known: 1}, y.fetches(t)); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if err := y.rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	y.sweep(t, 0)
	if diff := cmp.Diff(map[uuid.UUID]int{due: 1, known: 1}, y.fetches(t)); diff != "" {
		t.Errorf("tasks after a flush (-want +got):\n%s", diff)
	}
}
