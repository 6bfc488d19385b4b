package history_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/tasks"
)

// shelf remembers what was deleted from it, and keeps what sticks.
type shelf struct {
	mu      sync.Mutex
	deleted []string
	sticks  string
}

var errSticks = errors.New("it sticks")

func (s *shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == s.sticks {
		return errSticks
	}
	s.deleted = append(s.deleted, key)
	return nil
}

func TestTheFilesOfPurgedMessagesAreDeletedBeforeTheirRows(t *testing.T) {
	t.Parallel()
	pool := attic(t)
	_, err := pool.Exec(t.Context(), `
		WITH m AS (SELECT id, created_at, row_number() OVER (PARTITION BY created_at ORDER BY id) AS n FROM messages WHERE status = 'read')
		INSERT INTO media (id, message_id, gateway_id, storage_key, state, next_attempt_at)
		SELECT id, id, 'X', CASE WHEN created_at < now() - interval '1 day' THEN 'old-' ELSE 'new-' END || n,
		       CASE n WHEN 3 THEN 'pending' WHEN 4 THEN 'pending' ELSE 'kept' END, now() + CASE n WHEN 4 THEN interval '1 hour' ELSE '-1 hour' END
		FROM m WHERE n <= 4`)
	if err != nil {
		t.Fatal(err)
	}
	left := func() (keys []string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT array_agg(storage_key ORDER BY storage_key) FROM media").Scan(&keys); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	s := &shelf{sticks: "old-2"}
	p := history.Purger{Pool: pool, Keep: history.Retention{Messages: 30 * day}, Log: slog.New(slog.DiscardHandler), Files: s}
	if err := p.Purge(t.Context(), tasks.Purge{Due: time.Now()}); !errors.Is(err, errSticks) {
		t.Errorf("error = %v, want the store's", err)
	}
	// The fourth may be being written right now.
	if diff := cmp.Diff([]string{"new-1", "new-2", "new-3", "new-4", "old-2", "old-4"}, left()); diff != "" {
		t.Errorf("rows after a file stuck (-want +got):\n%s", diff)
	}
	s.sticks = ""
	if err := p.Purge(t.Context(), tasks.Purge{Due: time.Now()}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"new-1", "new-2", "new-3", "new-4", "old-4"}, left()); diff != "" {
		t.Errorf("rows at last (-want +got):\n%s", diff)
	}
	slices.Sort(s.deleted)
	if diff := cmp.Diff([]string{"old-1", "old-2", "old-3"}, s.deleted); diff != "" {
		t.Errorf("deleted files (-want +got):\n%s", diff)
	}
}
