package history

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/internal/testenv"
)

// heardTexts returns a database with n messages, oldest first, whose texts an SQL
// expression makes of their numbers.
func heardTexts(t *testing.T, n int, text string) *pgxpool.Pool {
	t.Helper()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		WITH i AS (INSERT INTO instances (name, gateway) VALUES ('sales', 'evolution') RETURNING id),
		c AS (INSERT INTO chats (instance_id, jid) SELECT id, '1@s.whatsapp.net' FROM i RETURNING id, instance_id)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at, settled_at)
		SELECT gen_random_uuid(), c.instance_id, c.id, 'inbound', 'received', 'text', `+text+`, now() + n * interval '1 second', now()
		FROM c, generate_series(1, $1::integer) n`, n)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// Counting takes as long as there are messages with the words: a reader who goes
// through page after page must not wait for it each time.
func TestAWordThatWasFoundToBeCommonIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	pool := heardTexts(t, 70, "CASE WHEN n <= 30 THEN 'common once' ELSE 'other' END")
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

// An index takes long to collect what has a common word, so it is asked for the
// rare ones, and the others are looked for in what these give.
func TestASearchAsksTheIndexForItsRareWordsAlone(t *testing.T) {
	t.Parallel()
	pool := heardTexts(t, 5000, "CASE WHEN n % 2 = 0 THEN 'Hola ' ELSE 'Buenas ' END || 'folio' || n")
	if _, err := pool.Exec(t.Context(), "ANALYZE messages"); err != nil {
		t.Fatal(err)
	}
	r := &Reader{pool: pool, patience: patience{first: 2, most: 2, few: 1, enough: 2, rare: 20}}
	for _, c := range []struct{ asked, rare string }{
		{"hola folio4000", "'folio4000':*"},
		{"HOL folio4000", "'folio4000':*"},
		{"folio4000 folio400", "'folio4000':* & 'folio400':*"},
		{"folio4000 !!!", "'folio4000':* & '!!!':*"},
		{"hola folio4000 !!!", "'folio4000':*"},
		{"hola", ""},
		{"hola buenas", ""},
		{"hola !!!", ""},
		{"folio4", ""}, // not common, and too many all the same
		{"nobody", "'nobody':*"},
		{"!!!", "'!!!':*"},
	} {
		if rare, err := r.rareWords(t.Context(), strings.Fields(c.asked)); err != nil || rare != c.rare {
			t.Errorf("of %q the index is asked for %q, error %v; want %q", c.asked, rare, err, c.rare)
		}
	}
	for asked, want := range map[string]int{"hola folio4000": 1, "buenas folio4000": 0, "hola folio4000 !!!": 1} {
		if page, next, err := r.List(t.Context(), Filter{Query: asked}); err != nil || len(page) != want || next != "" {
			t.Errorf("search for %q: %d messages, next %q, error %v; want %d and no more", asked, len(page), next, err, want)
		}
	}
}

// Of a thousand failed messages none may be canceled: nobody waits until all were
// looked at.
func TestAPageOfFewAmongManyOfAnotherStatusEndsAndLeavesNothingOut(t *testing.T) {
	t.Parallel()
	for rare, many := range map[string]string{"canceled": "failed", "expired": "canceled", "scheduled": "queued", "unknown": "queued"} {
		t.Run(rare, func(t *testing.T) {
			t.Parallel()
			pool := heardTexts(t, 20, "'hola'")
			_, err := pool.Exec(t.Context(), `
				UPDATE messages SET direction = 'outbound', status = (CASE WHEN seq = (SELECT min(seq) FROM messages) THEN $1 ELSE $2 END)::message_status,
				       stopped_at = CASE WHEN $3 THEN now() END, settled_at = CASE WHEN $3 THEN now() END`, rare, many, isStopped(rare))
			if err != nil {
				t.Fatal(err)
			}
			r := &Reader{pool: pool, patience: patience{first: 3, most: 3}}
			pages, found := 0, 0
			for f := (Filter{Status: rare, Limit: 2}); pages == 0 || f.Cursor != ""; pages++ {
				var page []Message
				if page, f.Cursor, err = r.List(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				found += len(page)
			}
			if found != 1 || pages < 5 {
				t.Errorf("found %d messages in %d pages; want the one, and no page that looks at more than it must", found, pages)
			}
		})
	}
}

func TestAStepThatWouldNotEndInTimeIsNotBegun(t *testing.T) {
	t.Parallel()
	p := patience{statuses: 3 * time.Millisecond, words: 80 * time.Millisecond, least: 3}
	byStatus, byLong, byWord := walker{window: window{limit: 50}}, walker{window: window{limit: 200}}, walker{window: window{limit: 200, query: "hola"}}
	for _, tt := range []struct {
		what string
		w    walker
		took time.Duration
		want bool
	}{
		{"as quick as this one it ends in time", byStatus, 900 * time.Microsecond, false},
		{"it would not", byStatus, 1100 * time.Microsecond, true},
		{"it would not, but the page is longer than what it looked at", byLong, time.Second, false},
		{"words are looked at for their whole time", byWord, 79 * time.Millisecond, false},
		{"which is over", byWord, 81 * time.Millisecond, true},
	} {
		if got := p.isOver(tt.w, tt.took, 400, 800); got != tt.want {
			t.Errorf("%s: after %s over = %t", tt.what, tt.took, got)
		}
	}
}

func TestAStepIsAsLongAsIsLikelyToFillThePage(t *testing.T) {
	t.Parallel()
	p := patience{most: 6400}
	for _, tt := range []struct {
		what                       string
		rows, seen, found, missing int32
		want                       int32
	}{
		{"nothing was found: twice as long", 400, 400, 0, 51, 800},
		{"as long as steps may be", 6400, 12400, 0, 51, 6400},
		{"half of those seen match, and a quarter more", 51, 51, 26, 25, 62},
		{"one in a hundred does: twice as long and no more", 100, 100, 1, 50, 200},
		{"one is missing", 51, 51, 50, 1, 2},
		{"one in many was found", 6400, 2_000_000_000, 1, 200, 6400},
	} {
		if got := p.next(tt.rows, tt.seen, tt.found, tt.missing); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
}

// What was received is found at once, however many were sent since.
func TestAPageOfReceivedMessagesDoesNotLookAtWhatWasSent(t *testing.T) {
	t.Parallel()
	pool := heardTexts(t, 30, "'hola'")
	if _, err := pool.Exec(t.Context(), "UPDATE messages SET direction = 'outbound', status = 'read' WHERE seq > (SELECT min(seq) FROM messages)"); err != nil {
		t.Fatal(err)
	}
	r := &Reader{pool: pool, patience: patience{most: 3}}
	page, next, err := r.List(t.Context(), Filter{Status: "received", Limit: 2})
	if err != nil || len(page) != 1 || next != "" {
		t.Errorf("%d messages, next %q, error %v; want the one, and no more", len(page), next, err)
	}
}
