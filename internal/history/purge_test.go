package history_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

const day = 24 * time.Hour

// attic fills a database with what was stored 40 days ago and today: 1,300
// messages of each day, one in thirteen of them still open, with an attempt
// each; 1,200 events, a third of them in each state that ends; 4 reports of
// nothing we know.
func attic(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		CREATE FUNCTION made(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
			SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' ||
			        substr(md5(random()::text), 1, 15))::uuid $$;
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO chats (instance_id, jid, last_message_at) VALUES (1, '`+ana+`', now());
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, idempotency_key, created_at, settled_at)
		SELECT made(d.at), 1, 1, 'outbound', CASE WHEN n % 13 = 0 THEN 'unknown' ELSE 'read' END::message_status, 'text', 'Hola',
		       d.at::text || n, d.at, CASE WHEN n % 13 > 0 THEN d.at END
		FROM (VALUES (now() - interval '40 days'), (now())) d(at), generate_series(1, 1300) n;
		INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome) SELECT id, 1, created_at, 5, 'accepted' FROM messages;
		INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state, received_at)
		SELECT made(d.at), 1, 'messages.upsert', '{}', sha256((d.at::text || n)::bytea),
		       (ARRAY['pending', 'applied', 'unhandled', 'quarantined'])[1 + n % 4]::event_state, d.at
		FROM (VALUES (now() - interval '40 days'), (now())) d(at), generate_series(1, 1200) n;
		INSERT INTO early_evidence (instance_id, gateway_message_id, status, at, received_at)
		SELECT 1, 'GW' || n, 'read', now(), now() - n * interval '10 days' FROM generate_series(1, 4) n`)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// inventory counts what there is, the old before the new.
func inventory(t *testing.T, pool *pgxpool.Pool) map[string]int {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT 'message ' || status || CASE WHEN created_at < now() - interval '1 day' THEN ', old' ELSE '' END, count(*) FROM messages GROUP BY 1
		UNION ALL SELECT 'attempt', count(*) FROM attempts
		UNION ALL SELECT 'event ' || state || CASE WHEN received_at < now() - interval '1 day' THEN ', old' ELSE '' END, count(*) FROM gateway_events GROUP BY 1
		UNION ALL SELECT 'evidence', count(*) FROM early_evidence
		UNION ALL SELECT 'chat', count(*) FROM chats`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var kind string
		var n int
		if err := rows.Scan(&kind, &n); err != nil {
			t.Fatal(err)
		}
		counts[kind] = n
	}
	return counts
}

func TestWhatWasKeptLongEnoughIsDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	everything := map[string]int{
		"message read, old": 1200, "message unknown, old": 100, "message read": 1200, "message unknown": 100, "attempt": 2600,
		"event pending, old": 300, "event applied, old": 300, "event unhandled, old": 300, "event quarantined, old": 300,
		"event pending": 300, "event applied": 300, "event unhandled": 300, "event quarantined": 300,
		"evidence": 4, "chat": 1,
	}
	without := func(changes map[string]int) map[string]int {
		left := map[string]int{}
		for kind, n := range everything {
			if changed, ok := changes[kind]; ok {
				n = changed
			}
			if n > 0 {
				left[kind] = n
			}
		}
		return left
	}
	tests := []struct {
		name string
		keep history.Retention
		want map[string]int
	}{
		{"everything for ever", history.Retention{}, everything},
		{"messages", history.Retention{Messages: 30 * day}, without(map[string]int{"message read, old": 0, "attempt": 1400})},
		{"messages for longer", history.Retention{Messages: 41 * day}, everything},
		{"events", history.Retention{Events: 30 * day}, without(map[string]int{"event applied, old": 0, "event unhandled, old": 0})},
		{"quarantined events", history.Retention{Quarantined: 30 * day}, without(map[string]int{"event quarantined, old": 0})},
		{"evidence", history.Retention{Evidence: 15 * day}, without(map[string]int{"evidence": 1})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := attic(t)
			p := history.Purger{Pool: pool, Keep: tt.keep, Log: slog.New(slog.DiscardHandler)}
			for range 2 { // the same hour told twice
				if err := p.Purge(t.Context(), tasks.Purge{Due: time.Now()}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, inventory(t, pool)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMessageThatWasSettledLatelyIsKept(t *testing.T) {
	t.Parallel()
	pool := attic(t)
	if _, err := pool.Exec(t.Context(), "UPDATE messages SET settled_at = now() WHERE settled_at < now() - interval '1 day'"); err != nil {
		t.Fatal(err)
	}
	p := history.Purger{Pool: pool, Keep: history.Retention{Messages: 30 * day}, Log: slog.New(slog.DiscardHandler)}
	if err := p.Purge(t.Context(), tasks.Purge{Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := inventory(t, pool)["message read, old"]; got != 1200 {
		t.Errorf("%d of 1200 are left that were scheduled for long and sent today", got)
	}
}
