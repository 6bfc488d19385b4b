package history

import (
	"testing"

	"github.com/msgorch/msgorch/internal/testenv"
)

// Counting takes as long as there are messages with the words: a reader who goes
// through page after page must not wait for it each time.
func TestAWordThatWasFoundToBeCommonIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		WITH i AS (INSERT INTO instances (name, gateway) VALUES ('sales', 'evolution') RETURNING id),
		c AS (INSERT INTO chats (instance_id, jid) SELECT id, '1@s.whatsapp.net' FROM i RETURNING id, instance_id)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at, settled_at)
		SELECT gen_random_uuid(), c.instance_id, c.id, 'inbound', 'received', 'text',
		       CASE WHEN n <= 30 THEN 'common once' ELSE 'other' END, now() + n * interval '1 second', now()
		FROM c, generate_series(1, 70) n`)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing matches among the first two, and too many do among all.
	r := &Reader{pool: pool, patience: patience{first: 2, most: 2, few: 1, enough: 2, rare: 5}}
	f := Filter{Query: "common", Limit: 3}
	page, next, err := r.List(t.Context(), f)
	if err != nil || len(page) != 0 || next == "" {
		t.Fatalf("first page has %d messages, next %q, error %v; want none yet, and more", len(page), next, err)
	}
	// If this one counted, it would find the word rare and look it up.
	r.patience.rare = 1000
	f.Cursor = next
	for range 2 {
		page, f.Cursor, err = r.List(t.Context(), f)
		if err != nil || len(page) != 0 || f.Cursor == "" {
			t.Fatalf("next page has %d messages, next %q, error %v; want none yet, and more", len(page), f.Cursor, err)
		}
	}
	// A search that begins anew does.
	if page, _, err = r.List(t.Context(), Filter{Query: "common", Limit: 3}); err != nil || len(page) != 3 {
		t.Errorf("a new search finds %d messages, %v; want 3", len(page), err)
	}
}
