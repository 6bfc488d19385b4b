package outbound

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

// Most messages are settled as soon as they are accepted, and some wait for hours: the
// watchdog finds either, once its patience is over.
func TestSilenceIsNoticedHoweverLongAMessageWaitedBefore(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		WITH i AS (INSERT INTO instances (name, gateway) VALUES ('sales', 'evolution') RETURNING id),
		c AS (INSERT INTO chats (instance_id, jid) SELECT i.id, j FROM i, unnest(ARRAY['1@s.whatsapp.net', '2@g.us']) j RETURNING id, instance_id, jid)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, attempt, gateway_message_id, created_at, settled_at)
		SELECT gen_random_uuid(), c.instance_id, c.id, 'outbound', w.status::message_status, 'text', w.text, 1, 'G' || w.text,
		       now() - w.settled::interval - w.waited::interval, now() - w.settled::interval
		FROM c JOIN (VALUES
			('at once',                  '1@s.whatsapp.net', 'accepted',  '0 seconds',     '10 minutes'),
			('after most of a minute',   '1@s.whatsapp.net', 'accepted',  '59.9 seconds',  '9 minutes 50 seconds'),
			('after a minute',           '1@s.whatsapp.net', 'accepted',  '60 seconds',    '10 minutes'),
			('after more than a minute', '1@s.whatsapp.net', 'accepted',  '60.1 seconds',  '10 minutes'),
			('after three days',         '1@s.whatsapp.net', 'accepted',  '3 days',        '10 minutes'),
			('at the first look''s end', '1@s.whatsapp.net', 'accepted',  '30 seconds',    '23 hours 59 minutes 50 seconds'),
			('just now',                 '1@s.whatsapp.net', 'accepted',  '0 seconds',     '1 minute'),
			('just now, after a day',    '1@s.whatsapp.net', 'accepted',  '1 day',         '1 minute'),
			('and it arrived',           '1@s.whatsapp.net', 'delivered', '0 seconds',     '10 minutes'),
			('late, and it arrived',     '1@s.whatsapp.net', 'delivered', '1 day',         '10 minutes'),
			('in a group',               '2@g.us',           'accepted',  '0 seconds',     '10 minutes'),
			('late, in a group',         '2@g.us',           'accepted',  '1 day',         '10 minutes')
		) w (text, jid, status, waited, settled) ON w.jid = c.jid`)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	w := &Watchdog{
		Out: New(Config{Pool: pool, Log: slog.New(slog.DiscardHandler)}), Log: slog.New(slog.DiscardHandler), Patience: 5 * time.Minute,
		Overdue: func(_ string, messages int) { told += messages },
	}
	for range 2 { // the second finds nothing new
		if err := w.Watch(t.Context(), tasks.WatchAcks{}); err != nil {
			t.Fatal(err)
		}
	}
	var marked []string
	if err := pool.QueryRow(t.Context(), "SELECT array_agg(text ORDER BY created_at DESC, seq DESC) FROM messages WHERE ack_overdue_at IS NOT NULL").Scan(&marked); err != nil {
		t.Fatal(err)
	}
	want := []string{"at once", "after most of a minute", "after a minute", "after more than a minute", "at the first look's end", "after three days"}
	if diff := cmp.Diff(want, marked); diff != "" || told != len(want) {
		t.Errorf("told of %d, marked (-want +got):\n%s", told, diff)
	}
}
