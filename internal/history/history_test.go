package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/testenv"
)

const (
	ana  = "5215550000001@s.whatsapp.net"
	beto = "5215550000002@s.whatsapp.net"
)

// noon is when the first message of archive was written; every four share one
// time, down to the microsecond.
func noon() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// archive fills a database with n messages: two instances, two chats in each,
// both directions, all statuses.
func archive(t *testing.T, n int) *pgxpool.Pool {
	t.Helper()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox'), ('support', 'sandbox');
		INSERT INTO contacts (instance_id, jid, name) VALUES (1, '`+ana+`', 'Ana');
		INSERT INTO chats (instance_id, jid, last_message_at)
		SELECT i, j, now() FROM (VALUES (1), (2)) i(i), (VALUES ('`+ana+`'), ('`+beto+`')) j(j) ORDER BY i, j`)
	if err == nil {
		_, err = pool.Exec(t.Context(), `
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at, settled_at, stopped_at)
		SELECT gen_random_uuid(), 1 + n / 2 % 2, 1 + n / 2 % 2 * 2 + n / 4 % 2,
		       CASE WHEN s.status = 'received' THEN 'inbound' ELSE 'outbound' END::message_direction, s.status::message_status,
		       CASE WHEN n % 11 = 0 THEN 'image' ELSE 'text' END, CASE WHEN n % 11 <> 0 THEN 'message ' || n END,
		       $1::timestamptz + n / 4 * interval '1 second',
		       CASE WHEN s.status NOT IN ('scheduled', 'queued', 'sending', 'unknown') THEN now() END,
		       CASE WHEN s.status IN ('failed', 'canceled', 'expired') THEN now() END
		FROM generate_series(0, $2::integer - 1) n
		CROSS JOIN LATERAL (SELECT (ARRAY['received', 'queued', 'received', 'delivered', 'failed', 'received', 'unknown', 'read',
			'scheduled', 'canceled', 'received', 'sending', 'expired', 'accepted', 'sent', 'played'])[1 + n % 16] AS status) s
		ORDER BY n`, noon(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// walk reads every page and returns the messages in the order they came.
func walk(t *testing.T, r *history.Reader, f history.Filter) (all []history.Message) {
	t.Helper()
	for page := 0; ; page++ {
		got, next, err := r.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
		if len(got) > f.Limit || next != "" && len(got) < f.Limit {
			t.Fatalf("page %d has %d messages, the limit is %d", page, len(got), f.Limit)
		}
		if next == "" {
			return all
		}
		f.Cursor = next
	}
}

func ids(messages []history.Message) []uuid.UUID {
	list := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		list[i] = m.ID
	}
	return list
}

// everything is what the filters are compared with: all messages, newest first.
func everything(t *testing.T, pool *pgxpool.Pool) []history.Message {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT id FROM messages ORDER BY created_at DESC, seq DESC")
	if err != nil {
		t.Fatal(err)
	}
	var order []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		order = append(order, id)
	}
	all, err := history.New(pool).Messages(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b history.Message) int { return slices.Index(order, a.ID) - slices.Index(order, b.ID) })
	return all
}

func TestPagingGivesEveryMessageOnceAndInOrder(t *testing.T) {
	t.Parallel()
	pool := archive(t, 500)
	want := ids(everything(t, pool))
	for _, limit := range []int{1, 7, 200} {
		got := ids(walk(t, history.New(pool), history.Filter{Limit: limit}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

// A page that was cut at a cursor stays what it is when new messages come.
func TestNewMessagesDoNotShiftThePages(t *testing.T) {
	t.Parallel()
	pool := archive(t, 40)
	r := history.New(pool)
	want := ids(everything(t, pool))
	first, next, err := r.List(t.Context(), history.Filter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, created_at, settled_at)
		VALUES (gen_random_uuid(), 1, 1, 'inbound', 'received', 'text', now() + interval '1 day', now())`)
	if err != nil {
		t.Fatal(err)
	}
	rest := walk(t, r, history.Filter{Limit: 10, Cursor: next})
	if diff := cmp.Diff(want, append(ids(first), ids(rest)...)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// Every combination of what can be asked for is compared with a filter in Go.
func TestFiltersAloneAndTogether(t *testing.T) {
	t.Parallel()
	pool := archive(t, 200)
	r := history.New(pool)
	all := everything(t, pool)
	statuses := []string{"", "received", "scheduled", "queued", "sending", "unknown", "failed", "canceled", "expired", "accepted", "read"}
	for _, instances := range [][]string{nil, {}, {"sales"}, {"support", "sales", "nobody"}, {"nobody"}} {
		for _, chat := range []string{"", ana, "+52 1 555 000 0002", "5215559999999"} {
			t.Run(fmt.Sprint(instances, chat), func(t *testing.T) {
				t.Parallel()
				for _, direction := range []string{"", "inbound", "outbound"} {
					for _, status := range statuses {
						for _, q := range []string{"", "message 1"} {
							for _, times := range [][2]time.Time{{}, {noon().Add(10 * time.Second), noon().Add(30 * time.Second)}} {
								f := history.Filter{
									Instances: instances, Chat: chat, Direction: direction, Status: status, Query: q,
									Since: times[0], Until: times[1], Limit: 200,
								}
								var want []history.Message
								for _, m := range all {
									if matches(f, m) {
										want = append(want, m)
									}
								}
								got, next, err := r.List(t.Context(), f)
								if err != nil {
									t.Fatalf("%+v: %v", f, err)
								}
								if diff := cmp.Diff(ids(want), ids(got)); diff != "" || next != "" {
									t.Fatalf("%+v, next %q (-want +got):\n%s", f, next, diff)
								}
							}
						}
					}
				}
			})
		}
	}
}

// A long history is not looked through for one page; what pages leave out comes
// with the next.
func TestPagesThatEndEarlyLeaveNothingOut(t *testing.T) {
	t.Parallel()
	pool := archive(t, 300)
	all := everything(t, pool)
	for _, f := range []history.Filter{
		{Status: "read"},
		{Status: "accepted", Direction: "outbound"},
		{Status: "received", Instances: []string{"sales"}},
		{Query: "message 1"},
		{Query: "message", Status: "played"},
		{Query: "message 299"},
		{Query: "nothing"},
		{Chat: ana, Direction: "inbound"},
		{Chat: "+52 1 555 000 0002", Status: "read"},
		{Chat: ana, Query: "message 2"},
		{Chat: ana, Query: "nothing"},
	} {
		var want []history.Message
		for _, m := range all {
			if matches(f, m) {
				want = append(want, m)
			}
		}
		for _, patience := range [][2]int32{{1, 1}, {1, 100}, {7, 7}, {7, 100}, {50, 50}, {50, 100}} {
			r := history.Impatient(history.New(pool), patience[0], patience[1])
			var got []uuid.UUID
			asked := f
			asked.Limit = 3
			for pages := 1; ; pages++ {
				page, next, err := r.List(t.Context(), asked)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, ids(page)...)
				if next == "" {
					break
				}
				if asked.Cursor = next; pages > 2*len(all) {
					t.Fatalf("%+v, patience %v: the pages do not end", f, patience)
				}
			}
			if diff := cmp.Diff(ids(want), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%+v, patience %v (-want +got):\n%s", f, patience, diff)
			}
		}
	}
}

func matches(f history.Filter, m history.Message) bool {
	jid := map[string]string{"": m.Chat, ana: ana, "+52 1 555 000 0002": beto}[f.Chat]
	words := []string{}
	if m.Text != nil {
		words = strings.Fields(*m.Text)
	}
	for asked := range strings.FieldsSeq(f.Query) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, asked) }) {
			return false
		}
	}
	return (f.Instances == nil || slices.Contains(f.Instances, m.Instance)) && m.Chat == jid &&
		(f.Direction == "" || m.Direction == f.Direction) && (f.Status == "" || m.Status == f.Status) &&
		!m.CreatedAt.Before(f.Since) && (f.Until.IsZero() || m.CreatedAt.Before(f.Until))
}

func TestSearchFindsBeginningsOfWordsAndNothingIsAnOperator(t *testing.T) {
	t.Parallel()
	pool := archive(t, 0)
	texts := []string{"Mañana llega el camión", "it's O'Brien's turn", `back\slash and "quotes"`, "a & b | !c <-> (d)", "pay https://example.com/x?y=1", "🎉 fiesta"}
	for _, text := range texts {
		_, err := pool.Exec(t.Context(), `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at, settled_at)
			VALUES (gen_random_uuid(), 1, 1, 'inbound', 'received', 'text', $1, now(), now())`, text)
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		q    string
		want []string
	}{
		{"mañ", texts[:1]},
		{"MAÑANA camión", texts[:1]},
		{"camión mañana", texts[:1]},
		{"camion", nil}, // accents count
		{"O'Brien", texts[1:2]},
		{"'", nil},
		{"slash", texts[2:3]},
		{`back\sl`, texts[2:3]},
		{`"quotes"`, texts[2:3]},
		{"mañana | turn", nil},
		{"!turn", texts[1:2]}, // the word turn, not its absence
		{"turn:*", texts[1:2]},
		{"example.com", texts[4:5]},
		{"fiesta:A", nil},
		{"%", nil},
		{"nothing", nil},
	}
	for _, chat := range []string{"", ana} {
		for _, tt := range tests {
			t.Run(chat+" "+tt.q, func(t *testing.T) {
				t.Parallel()
				page, _, err := history.New(pool).List(t.Context(), history.Filter{Query: tt.q, Chat: chat})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, m := range page {
					got = append(got, *m.Text)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("texts (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAQueryWithoutWordsDoesNotRestrict(t *testing.T) {
	t.Parallel()
	r := history.New(archive(t, 20))
	for _, chat := range []string{"", ana} {
		want, _, err := r.List(t.Context(), history.Filter{Chat: chat})
		if err != nil || len(want) == 0 {
			t.Fatalf("%d messages, %v", len(want), err)
		}
		got, _, err := r.List(t.Context(), history.Filter{Chat: chat, Query: " \t\u00a0"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ids(want), ids(got)); diff != "" {
			t.Errorf("chat %q (-want +got):\n%s", chat, diff)
		}
	}
}

func TestWhatCannotBeAskedForIsNamed(t *testing.T) {
	t.Parallel()
	r := history.New(archive(t, 1))
	tests := []struct {
		name  string
		give  history.Filter
		field string
	}{
		{"negative limit", history.Filter{Limit: -1}, "limit"},
		{"large limit", history.Filter{Limit: 201}, "limit"},
		{"unknown direction", history.Filter{Direction: "sideways"}, "direction"},
		{"unknown status", history.Filter{Status: "lost"}, "status"},
		{"status in capitals", history.Filter{Status: "READ"}, "status"},
		{"query with NUL", history.Filter{Query: "a\x00b"}, "q"},
		{"query of broken UTF-8", history.Filter{Query: "\xff"}, "q"},
		{"long query", history.Filter{Query: strings.Repeat("a", 257)}, "q"},
		{"chat with NUL", history.Filter{Chat: "a\x00b"}, "chat"},
		{"chat of broken UTF-8", history.Filter{Chat: "\xff@lid"}, "chat"},
		{"instance with NUL", history.Filter{Instances: []string{"\x00"}}, "instance"},
		{"cursor that is none", history.Filter{Cursor: "hello"}, "cursor"},
		{"cursor with padding", history.Filter{Cursor: "MS4x="}, "cursor"},
		{"cursor without a number", history.Filter{Cursor: "MTIz"}, "cursor"},
		{"cursor of a time that cannot be", history.Filter{Cursor: "LTF5MnAwaWoyYjlmYzcuMA"}, "cursor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := r.List(t.Context(), tt.give)
			checkInvalid(t, err, tt.field)
		})
	}
	t.Run("chats", func(t *testing.T) {
		t.Parallel()
		_, _, err := r.Chats(t.Context(), "sales", 201, "")
		checkInvalid(t, err, "limit")
		_, _, err = r.Chats(t.Context(), "sales", 0, "hello")
		checkInvalid(t, err, "cursor")
	})
}

func checkInvalid(t *testing.T, err error, field string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one about %s", field)
	}
	if f := fault.Of(err); f.Kind != fault.Invalid || f.Field != field || f.Code != "invalid_"+field {
		t.Errorf("error = %v (kind %v, field %q), want invalid_%s", err, f.Kind, f.Field, field)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	r := history.New(archive(t, 1))
	if _, err := r.Get(t.Context(), uuid.New()); fault.Of(err).Code != "unknown_message" {
		t.Errorf("Get: %v, want unknown_message", err)
	}
	for _, name := range []string{"nobody", "", "\x00", "\xff"} {
		if _, _, err := r.Chats(t.Context(), name, 0, ""); err == nil || fault.Of(err).Code != "unknown_instance" {
			t.Errorf("Chats of %q: %v, want unknown_instance", name, err)
		}
	}
}

func TestAMessageComesWithItsHistoryAndAttempts(t *testing.T) {
	t.Parallel()
	pool := archive(t, 5)
	all := everything(t, pool)
	failed := all[slices.IndexFunc(all, func(m history.Message) bool { return m.Status == "failed" })]
	_, err := pool.Exec(t.Context(), `UPDATE messages SET error_code = 'number_unknown', error_text = 'No such number.', history =
		'[{"status":"queued","at":"2026-11-01T12:00:00Z"},{"status":"failed","at":"2026-11-01T12:00:05Z"},{"status":"sending","at":"2026-11-01T12:00:01Z"}]' WHERE id = $1`, failed.ID)
	if err == nil {
		_, err = pool.Exec(t.Context(), `INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome, http_status, code, reason)
		VALUES ($1, 2, '2026-11-01T12:00:04Z', 7, 'permanent', 400, 'number_unknown', 'No such number.'),
		       ($1, 1, '2026-11-01T12:00:01Z', 5, 'retry', NULL, 'unreachable', 'Connection refused.')`, failed.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := history.New(pool).Get(t.Context(), failed.ID)
	if err != nil {
		t.Fatal(err)
	}
	status := 400
	wantAttempts := []history.Attempt{
		{Attempt: 1, StartedAt: noon().Add(time.Second), DurationMS: 5, Outcome: "retry", Error: &history.Error{Code: "unreachable", Message: "Connection refused."}},
		{Attempt: 2, StartedAt: noon().Add(4 * time.Second), DurationMS: 7, Outcome: "permanent", HTTPStatus: &status, Error: &history.Error{Code: "number_unknown", Message: "No such number."}},
	}
	if diff := cmp.Diff(wantAttempts, d.Attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	wantHistory := []history.Step{{"queued", noon()}, {"sending", noon().Add(time.Second)}, {"failed", noon().Add(5 * time.Second)}}
	if diff := cmp.Diff(wantHistory, d.History); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if d.Error == nil || d.Error.Code != "number_unknown" || d.FailedAt == nil {
		t.Errorf("error = %v at %v, want number_unknown", d.Error, d.FailedAt)
	}
}

func TestChatsComeWithTheirLastMessageTheOneThatMovedLastFirst(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO contacts (instance_id, jid, name) VALUES (1, '3@lid', 'Ana'), (1, '4@lid', 'Push name');
		INSERT INTO chats (instance_id, jid, name, unread, last_message_at)
		SELECT 1, n || '@lid', CASE WHEN n = 4 THEN 'Chosen name' END, n, timestamptz '2026-11-01 12:00Z' + n / 3 * interval '1 second' FROM generate_series(0, 19) n;
		INSERT INTO chats (instance_id, jid) VALUES (1, 'silent@lid');
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at, settled_at)
		SELECT gen_random_uuid(), 1, c.id, 'inbound', 'received', 'text', c.jid || ' ' || n, c.last_message_at - (3 - n) * interval '1 second', now()
		FROM chats c, generate_series(1, 3) n WHERE c.last_message_at IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	var all []history.Chat
	for cursor := ""; ; {
		page, next, err := history.New(pool).Chats(t.Context(), "sales", 7, cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; next == "" {
			break
		}
	}
	if len(all) != 20 {
		t.Fatalf("%d chats, want the 20 that have messages", len(all))
	}
	for i, c := range all {
		n := 19 - i
		if want := fmt.Sprint(n, "@lid"); c.JID != want || c.Unread != n {
			t.Errorf("chat %d is %s with %d unread, want %s with %d", i, c.JID, c.Unread, want, n)
		}
		if want := c.JID + " 3"; c.LastMessage == nil || *c.LastMessage.Text != want {
			t.Errorf("last message of %s is %+v, want %q", c.JID, c.LastMessage, want)
		}
		name := map[int]string{3: "Ana", 4: "Chosen name"}[n]
		if got := c.Name; (got == nil) != (name == "") || got != nil && *got != name {
			t.Errorf("name of %s = %v, want %q", c.JID, got, name)
		}
	}
}
