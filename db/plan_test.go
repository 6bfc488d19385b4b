package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/testenv"
)

// A statement that reads a whole table is quick in every test and in the first
// week. This fills the tables as some weeks do and asks PostgreSQL how it would
// run each statement, with the parameters known (the first five runs of a
// prepared statement) and without (those after).
func TestNoHotStatementReadsAWholeTable(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	w := fillWeeks(t, pool)
	for _, s := range w.statements() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var r recorder
			s.run(db.New(&r))
			if r.sql == "" {
				t.Fatal("no statement was run")
			}
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			allowScans(t, conn)
			check(t, "known parameters", explain(t, conn.Conn(), "EXPLAIN (FORMAT JSON) "+r.sql, r.args...))
			check(t, "any parameters", explainGeneric(t, conn.Conn(), r))
		})
	}
}

// PostgreSQL keeps the plan of a prepared statement for as long as the connection
// lives, also one that it made when there was nothing: a full scan of a table
// that fills up a minute later. So the plans that are made on empty tables must be
// good for full ones.
func TestPlansMadeOnASmallDatabaseServeALargeOne(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{0, 30, 150, 500, 2000} {
		for _, open := range []bool{false, true} {
			for _, analysed := range []bool{false, true} {
				if messages < 150 && analysed {
					continue // as good as any, and soon made anew
				}
				t.Run(fmt.Sprintf("%d messages, open %v, analysed %v", messages, open, analysed), func(t *testing.T) {
					t.Parallel()
					pool := testenv.Pool(t)
					fillSome(t, pool, messages, open, analysed)
					plansAreGood(t, pool)
				})
			}
		}
	}
}

func plansAreGood(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	w := weeks{instance: 1, chat: 1, message: uuid.New(), gateway: "GW", event: uuid.New()}
	for _, s := range w.statements() {
		if !s.hot {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var r recorder
			s.run(db.New(&r))
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			plan := explainGeneric(t, conn.Conn(), r)
			check(t, "any parameters", plan)
			for _, n := range aimless(plan, false) {
				t.Errorf("it reads all of an index, of an instance or of a chat: %s on %s, %s", n.Index, n.Relation, n.Cond)
			}
		})
	}
}

// aimless returns the scans of a plan that read an index from end to end, or all
// that it has of an instance, or, without a limit, of a chat.
func aimless(n node, limited bool) (found []node) {
	limited = limited || n.Kind == "Limit"
	all := func(column string) bool {
		return strings.HasPrefix(n.Cond, "("+column+" = ") && !strings.Contains(n.Cond, " AND ")
	}
	everything := n.Cond == "" || all("instance_id") || all("chat_id") && n.Relation == "messages" && !limited
	if n.Relation != "instances" && (strings.HasSuffix(n.Kind, "Index Scan") || n.Kind == "Index Only Scan") && everything { // instances are few
		found = append(found, n)
	}
	for _, p := range n.Plans {
		found = append(found, aimless(p, limited)...)
	}
	return found
}

// The guard itself: it must see what it looks for.
func TestASequentialScanIsSeen(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	fillWeeks(t, pool)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	allowScans(t, conn)
	got := scans(explain(t, conn.Conn(), "EXPLAIN (FORMAT JSON) SELECT 1 FROM messages m WHERE m.text = $1", "Hola"))
	if len(got) != 1 || got[0] != "messages" {
		t.Errorf("sequential scans = %v, want [messages]", got)
	}
}

// Under load the largest tables are analyzed every minute, each time a sample of 300
// rows for the largest target of their columns; one without a target has 30,000 read.
func TestAnalyzeSamplesFewRows(t *testing.T) {
	t.Parallel()
	rows, err := testenv.Pool(t).Query(t.Context(), `
		SELECT t.relname || '.' || a.attname
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
		LEFT JOIN pg_index i ON i.indexrelid = t.oid
		WHERE COALESCE(i.indrelid, t.oid) IN ('messages'::regclass, 'gateway_events'::regclass)
		  AND (i.indexrelid IS NULL OR i.indkey[a.attnum - 1] = 0) -- an expression has statistics of its own
		  AND a.attnum > 0 AND NOT a.attisdropped AND COALESCE(a.attstattarget, -1) NOT BETWEEN 0 AND 30`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(columns) > 0 {
		t.Errorf("columns without SET STATISTICS of at most 30: %v", columns)
	}
}

// allowScans lets the planner choose what our connections forbid.
func allowScans(t *testing.T, conn *pgxpool.Conn) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "SET enable_seqscan = on"); err != nil {
		t.Fatal(err)
	}
}

// recorder remembers the statement that a query runs, instead of running it.
type recorder struct {
	sql  string
	args []any
}

var errRecorded = errors.New("recorded")

func (r *recorder) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r.sql, r.args = sql, args
	return pgconn.CommandTag{}, errRecorded
}

func (r *recorder) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.sql, r.args = sql, args
	return nil, errRecorded
}

func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.sql, r.args = sql, args
	return r
}

func (*recorder) Scan(...any) error { return errRecorded }

type node struct {
	Kind     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []node  `json:"Plans"`
}

func explain(t *testing.T, conn *pgx.Conn, sql string, args ...any) node {
	t.Helper()
	var text []byte
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

func explainGeneric(t *testing.T, conn *pgx.Conn, r recorder) node {
	t.Helper()
	prepared, err := conn.Prepare(t.Context(), "explained", r.sql)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Deallocate(t.Context(), "explained") }()
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Exec(t.Context(), "RESET plan_cache_mode") }()
	call := ""
	if n := len(prepared.ParamOIDs); n > 0 {
		call = "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
	}
	return explain(t, conn, "EXPLAIN (FORMAT JSON) EXECUTE explained"+call)
}

func check(t *testing.T, name string, plan node) {
	t.Helper()
	for _, table := range scans(plan) {
		switch table {
		case "messages", "chats", "gateway_events", "early_evidence", "attempts", "contacts", "read_receipts":
			b, _ := json.MarshalIndent(plan, "", " ")
			t.Errorf("with %s it reads the whole table %s:\n%s", name, table, b)
		}
	}
}

// scans returns the tables that a plan reads from one end to the other.
func scans(n node) (tables []string) {
	if n.Kind == "Seq Scan" {
		tables = append(tables, n.Relation)
	}
	for _, p := range n.Plans {
		tables = append(tables, scans(p)...)
	}
	return tables
}

// weeks is what is in the tables.
type weeks struct {
	instance int64
	chat     int64
	message  uuid.UUID
	gateway  string // gateway id of a message
	event    uuid.UUID
}

// fillSome stores what the first minutes bring. A third of the messages is open,
// or none, as in a quiet hour.
func fillSome(t *testing.T, pool *pgxpool.Pool, messages int, open, analysed bool) {
	t.Helper()
	if messages == 0 {
		return
	}
	_, err := pool.Exec(t.Context(), fmt.Sprintf(`
		INSERT INTO instances (name, gateway) VALUES ('i1', 'sandbox');
		INSERT INTO chats (instance_id, jid, last_message_at) SELECT 1, n || '@s.whatsapp.net', now() FROM generate_series(1, %[1]d / 3 + 1) n;
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, gateway_message_id, idempotency_key, request_hash,
		                      next_attempt_at, created_at, settled_at)
		SELECT gen_random_uuid(), 1, 1 + n / 3, 'outbound', CASE WHEN n %% 3 = 0 THEN 'queued' ELSE 'accepted' END::message_status, 'text',
		       'order ' || n, CASE WHEN n %% 3 > 0 THEN 'GW' || n END, CASE WHEN n %% 2 = 0 THEN 'key-' || n END, 'hash', now(), now(),
		       CASE WHEN n %% 3 > 0 THEN now() END
		FROM generate_series(1, %[1]d) n;
		INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome) SELECT id, 1, now(), 5, 'accepted' FROM messages;
		INSERT INTO media (id, message_id, gateway_id, storage_key, state) SELECT id, id, gateway_message_id, id, 'kept' FROM messages
		WHERE gateway_message_id IS NOT NULL;
		INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state)
		SELECT gen_random_uuid(), 1, 'messages.upsert', '{}', sha256(n::text::bytea), 'applied' FROM generate_series(1, %[1]d) n`, messages))
	if err == nil && !open {
		_, err = pool.Exec(t.Context(), "UPDATE messages SET status = 'accepted', settled_at = now()")
	}
	if err == nil && analysed {
		_, err = pool.Exec(t.Context(), "VACUUM ANALYZE")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func fillWeeks(t *testing.T, pool *pgxpool.Pool) (w weeks) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `
		INSERT INTO instances (name, gateway, rate_per_minute) SELECT 'i' || n, 'sandbox', CASE WHEN n = 1 THEN 60 END FROM generate_series(1, 4) n;
		INSERT INTO chats (instance_id, jid, last_message_at)
		SELECT 1 + n % 4, (5215550000000 + n) || '@s.whatsapp.net', now() - n * interval '1 minute' FROM generate_series(1, 5000) n;
		INSERT INTO contacts (instance_id, jid, name) SELECT instance_id, jid, 'name ' || id FROM chats;
		-- Two thirds are in fifty chats; two of a hundred are under way.
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, gateway_message_id, idempotency_key, request_hash,
		                      next_attempt_at, created_at, settled_at, stopped_at)
		SELECT gen_random_uuid(), c.instance_id, c.id, d.direction, s.status::message_status, 'text',
		       'order ' || n || ' of ' || md5(n::text),
		       CASE WHEN s.status NOT IN ('queued', 'scheduled', 'canceled') THEN 'GW' || n END,
		       CASE WHEN n % 4 = 0 THEN 'key-' || n END, 'hash',
		       CASE WHEN d.direction = 'outbound' THEN now() - (20000 - n) * interval '1 minute' END,
		       now() - (20000 - n) * interval '1 minute',
		       CASE WHEN s.status NOT IN ('queued', 'scheduled', 'sending', 'unknown') THEN now() END,
		       CASE WHEN s.status IN ('failed', 'canceled') THEN now() END
		FROM generate_series(1, 20000) n
		CROSS JOIN LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 'outbound' ELSE 'inbound' END::message_direction AS direction) d
		CROSS JOIN LATERAL (SELECT CASE
			WHEN n % 2 = 1 THEN 'received' WHEN n % 200 = 0 THEN 'queued' WHEN n % 200 = 50 THEN 'scheduled'
			WHEN n % 200 = 100 THEN 'sending' WHEN n % 200 = 150 THEN 'unknown' WHEN n % 200 = 2 THEN 'failed'
			ELSE 'delivered' END AS status) s
		JOIN chats c ON c.id = CASE WHEN n % 3 < 2 THEN 1 + n % 50 ELSE 51 + n % 4950 END;
		INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome)
		SELECT id, 1, now(), 5, 'accepted' FROM messages WHERE direction = 'outbound';
		INSERT INTO media (id, message_id, gateway_id, storage_key, state)
		SELECT id, CASE WHEN seq % 100 <> 1 THEN id END, gateway_message_id, id, CASE WHEN seq % 200 = 3 THEN 'pending' ELSE 'kept' END
		FROM messages WHERE direction = 'inbound';
		INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state, received_at)
		SELECT gen_random_uuid(), 1 + n % 4, 'messages.upsert', '{}', sha256(n::text::bytea),
		       CASE WHEN n % 500 = 0 THEN 'pending' WHEN n % 500 = 1 THEN 'quarantined' ELSE 'applied' END::event_state, now() - n * interval '1 second'
		FROM generate_series(1, 20000) n;
		INSERT INTO read_receipts (message_id, next_attempt_at, done_at)
		SELECT id, CASE WHEN seq % 100 = 1 THEN now() END, CASE WHEN seq % 100 > 1 THEN now() END FROM messages WHERE direction = 'inbound';
		INSERT INTO early_evidence (instance_id, gateway_message_id, status, at, received_at)
		SELECT 1 + n % 4, 'EARLY' || n, 'delivered', now(), now() - n * interval '1 minute' FROM generate_series(1, 8000) n;
		ANALYZE`)
	if err != nil {
		t.Fatal(err)
	}
	err = pool.QueryRow(t.Context(), `
		SELECT m.instance_id, m.chat_id, m.id, m.gateway_message_id, (SELECT id FROM gateway_events WHERE state = 'pending' LIMIT 1)
		FROM messages m WHERE m.gateway_message_id = 'GW4'`).Scan(&w.instance, &w.chat, &w.message, &w.gateway, &w.event)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type statement struct {
	name string
	hot  bool // it runs for every message or event
	run  func(*db.Queries)
}

// statements are those that run for every message or event, those that run
// every second, and the listings.
func (w weeks) statements() []statement {
	ctx := context.Background() // the recorder does not wait
	now := time.Now()
	ids, names := []uuid.UUID{w.message}, []string{"i1"}
	instances, gateways := []int64{w.instance}, []string{w.gateway}
	directions := []string{"inbound", "outbound"}
	all := []int64{1, 2, 3, 4}
	list := func(name string, instances []int64) statement {
		return statement{name, false, func(q *db.Queries) {
			_, _ = q.ListMessages(ctx, db.ListMessagesParams{
				InstanceIds: instances, Directions: directions, Statuses: []string{"delivered"},
				BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1000, 0, 0), LookAt: 200, MaxRows: 51,
			})
		}}
	}
	return []statement{
		{"AcceptMessages", true, func(q *db.Queries) {
			_, _ = q.AcceptMessages(ctx, db.AcceptMessagesParams{
				Ids: ids, Instances: names, Chats: []string{"5215550000001@s.whatsapp.net"}, Addresses: []string{"5215550000001@s.whatsapp.net"}, Texts: []string{"Hola"}, ReplyTos: ids,
				Priorities: []string{"default"}, SendAts: []time.Time{now}, ExpiresAts: []time.Time{now}, Metadatas: []string{"{}"},
				IdempotencyKeys: []string{"key-4"}, RequestHashes: [][]byte{{1}}, TaskBatch: w.message,
			})
		}},
		{"MessageByKey", true, func(q *db.Queries) {
			_, _ = q.MessageByKey(ctx, db.MessageByKeyParams{Instance: "i1", IdempotencyKey: "key-4"})
		}},
		{"ReplyTargets", true, func(q *db.Queries) {
			_, _ = q.ReplyTargets(ctx, db.ReplyTargetsParams{Ids: ids, Instances: names, Addresses: []string{"x@lid"}})
		}},

		{"ClaimHeads", true, func(q *db.Queries) { _, _ = q.ClaimHeads(ctx, db.ClaimHeadsParams{Ids: ids, Lease: time.Minute}) }},
		{"SettleAttempts", true, func(q *db.Queries) {
			_, _ = q.SettleAttempts(ctx, db.SettleAttemptsParams{
				Ids: ids, Attempts: []int32{1}, Statuses: []string{"accepted"}, GatewayMessageIds: gateways, Refunds: []int32{0},
				Waits: []int64{0}, Outcomes: []string{"accepted"}, Codes: []string{""}, Reasons: []string{""}, HttpStatuses: []int32{201},
				StartedAts: []time.Time{now}, Durations: []int32{1},
			})
		}},
		{"OpenLanes", true, func(q *db.Queries) { _, _ = q.OpenLanes(ctx, []int64{w.chat}) }},
		{"NextInLanes", true, func(q *db.Queries) { _, _ = q.NextInLanes(ctx, ids) }},
		{"DropEcho", true, func(q *db.Queries) {
			_, _ = q.DropEcho(ctx, db.DropEchoParams{InstanceID: w.instance, GatewayMessageID: w.gateway, ID: w.message})
		}},
		{"AbandonExpiredLeases", false, func(q *db.Queries) {
			_, _ = q.AbandonExpiredLeases(ctx, db.AbandonExpiredLeasesParams{Lease: time.Second, MaxRows: 500})
		}},
		{"RenewLeases", true, func(q *db.Queries) {
			_, _ = q.RenewLeases(ctx, db.RenewLeasesParams{Lease: time.Minute, Ids: ids, Attempts: []int32{1}})
		}},
		{"ClaimedGatewayIDs", true, func(q *db.Queries) {
			_, _ = q.ClaimedGatewayIDs(ctx, db.ClaimedGatewayIDsParams{InstanceID: w.instance, GatewayMessageIds: gateways})
		}},
		{"AdoptReported", false, func(q *db.Queries) {
			_, _ = q.AdoptReported(ctx, db.AdoptReportedParams{GatewayMessageID: w.gateway, InstanceID: w.instance, Text: "Hola", Addresses: []string{"x@lid"}, ReportedAt: now})
		}},
		{"Witness", false, func(q *db.Queries) {
			_, _ = q.Witness(ctx, db.WitnessParams{InstanceID: w.instance, AfterAt: now.Add(-time.Minute), BeforeAt: now})
		}},
		{"BumpChats", true, func(q *db.Queries) { _ = q.BumpChats(ctx, ids) }},
		{"CancelMatching", false, func(q *db.Queries) {
			_, _ = q.CancelMatching(ctx, db.CancelMatchingParams{InstanceIds: instances, ChatIds: []int64{}, Statuses: []string{}, Since: time.Time{}, UntilAt: now, AskedAt: now, MaxRows: 500})
		}},
		{"RetryMatching", false, func(q *db.Queries) {
			_, _ = q.RetryMatching(ctx, db.RetryMatchingParams{InstanceIds: instances, ChatIds: []int64{}, Statuses: []string{}, Since: time.Time{}, UntilAt: now, AskedAt: now, MaxRows: 500})
		}},
		{"DueHeads", false, func(q *db.Queries) {
			_, _ = q.DueHeads(ctx, db.DueHeadsParams{DueBefore: now, AfterAt: time.Time{}, MaxRows: 500})
		}},
		{"ExpireMessages", false, func(q *db.Queries) { _, _ = q.ExpireMessages(ctx, 500) }},
		{"AnythingOpen", false, func(q *db.Queries) { _, _ = q.AnythingOpen(ctx, now) }},
		{"NextScheduled", false, func(q *db.Queries) { _, _ = q.NextScheduled(ctx) }},
		{"ClaimNext", true, func(q *db.Queries) {
			_, _ = q.ClaimNext(ctx, db.ClaimNextParams{InstanceID: w.instance, Lease: time.Minute, Ahead: time.Second, MaxRows: 100})
		}},
		{"TakeChatSlots", true, func(q *db.Queries) {
			_, _ = q.TakeChatSlots(ctx, db.TakeChatSlotsParams{Ids: []int64{w.chat}, Ats: []time.Time{now}, PerMessage: time.Second, Burst: 1})
		}},
		{"NextChatSlot", false, func(q *db.Queries) { _, _ = q.NextChatSlot(ctx, w.instance) }},
		{"DuePaced", false, func(q *db.Queries) { _, _ = q.DuePaced(ctx, 500) }},

		{"StoreEvents", true, func(q *db.Queries) {
			_, _ = q.StoreEvents(ctx, db.StoreEventsParams{
				Ids: ids, InstanceIds: instances, Events: []string{"e"}, Bodies: [][]byte{{1}}, BodyHashes: [][]byte{{1}},
				States: []string{"pending"}, Reasons: []string{""}, TaskBatch: w.message,
			})
		}},
		{"EventByBody", true, func(q *db.Queries) {
			_, _ = q.EventByBody(ctx, db.EventByBodyParams{InstanceID: w.instance, BodyHash: []byte{1}})
		}},
		{"LockPendingEvents", true, func(q *db.Queries) { _, _ = q.LockPendingEvents(ctx, []uuid.UUID{w.event}) }},
		{"FinishEvents", true, func(q *db.Queries) {
			_ = q.FinishEvents(ctx, db.FinishEventsParams{Ids: []uuid.UUID{w.event}, States: []string{"applied"}, Reasons: []string{""}})
		}},
		{"CountEventAttempt", true, func(q *db.Queries) { _, _ = q.CountEventAttempt(ctx, w.event) }},
		{"OverdueEvents", false, func(q *db.Queries) {
			_, _ = q.OverdueEvents(ctx, db.OverdueEventsParams{ReceivedBefore: now, AfterAt: time.Time{}, AfterID: uuid.Nil, MaxRows: 500})
		}},
		{"EnsureChats", true, func(q *db.Queries) {
			_ = q.EnsureChats(ctx, db.EnsureChatsParams{InstanceIds: instances, Jids: []string{"x@lid"}, Addresses: []string{"x@lid"}})
		}},
		{"NameChats", true, func(q *db.Queries) {
			_ = q.NameChats(ctx, db.NameChatsParams{InstanceIds: instances, Addresses: []string{"x@lid"}, Names: []string{"Ana"}})
		}},
		{"TellPresence", true, func(q *db.Queries) {
			_ = q.TellPresence(ctx, db.TellPresenceParams{
				InstanceIds: instances, Chats: []string{"x@lid"}, Addresses: []string{"x@lid"}, Jids: []string{"x@lid"},
				States: []string{"composing"}, LastSeenAts: []time.Time{now}, ToldAts: []time.Time{now},
			})
		}},
		{"ChatDetail", false, func(q *db.Queries) {
			_, _ = q.ChatDetail(ctx, db.ChatDetailParams{InstanceID: w.instance, Address: "x@lid"})
		}},
		{"ListCalls", false, func(q *db.Queries) {
			_, _ = q.ListCalls(ctx, db.ListCallsParams{InstanceID: w.instance, BeforeAt: now, BeforeID: 1 << 40, MaxRows: 51})
		}},
		{"FindAddresses", true, func(q *db.Queries) {
			_, _ = q.FindAddresses(ctx, db.FindAddressesParams{InstanceIds: instances, Addresses: []string{"x@lid"}})
		}},
		{"AddressesOfChats", true, func(q *db.Queries) { _, _ = q.AddressesOfChats(ctx, all) }},
		{"DueMerges", false, func(q *db.Queries) { _, _ = q.DueMerges(ctx, db.DueMergesParams{AskedBefore: now, MaxRows: 500}) }},
		{"LockSettled", false, func(q *db.Queries) {
			_, _ = q.LockSettled(ctx, db.LockSettledParams{ChatID: w.chat, MaxRows: 500})
		}},
		{"LockAll", false, func(q *db.Queries) { _, _ = q.LockAll(ctx, w.chat) }},
		{"DropDoubles", false, func(q *db.Queries) {
			_ = q.DropDoubles(ctx, db.DropDoublesParams{Ids: ids, ChatID: w.chat, IntoID: w.chat + 1})
		}},
		{"MoveMessages", false, func(q *db.Queries) {
			_, _ = q.MoveMessages(ctx, db.MoveMessagesParams{Ids: ids, ChatID: w.chat, IntoID: w.chat + 1})
		}},
		{"UpsertContacts", true, func(q *db.Queries) {
			_ = q.UpsertContacts(ctx, db.UpsertContactsParams{InstanceIds: instances, Jids: []string{"x@lid"}, Names: []string{"Ana"}})
		}},
		{"StoreHeard", true, func(q *db.Queries) {
			_, _ = q.StoreHeard(ctx, db.StoreHeardParams{
				Ids: ids, InstanceIds: instances, Addresses: []string{"x@lid"}, Directions: []string{"inbound"}, Types: []string{"text"},
				Texts: []string{"Hola"}, Contents: []string{""}, Senders: []string{""}, GatewayMessageIds: gateways, QuotedIds: gateways,
				WrittenAts: []time.Time{now}, Counts: []bool{true},
			})
		}},
		{"KnownGatewayIDs", true, func(q *db.Queries) {
			_, _ = q.KnownGatewayIDs(ctx, db.KnownGatewayIDsParams{InstanceID: w.instance, GatewayMessageIds: gateways})
		}},
		{"InFlight", false, func(q *db.Queries) { _, _ = q.InFlight(ctx, db.InFlightParams{InstanceID: w.instance, Text: "Hola"}) }},
		{"ApplyEvidence", true, func(q *db.Queries) {
			_, _ = q.ApplyEvidence(ctx, db.ApplyEvidenceParams{
				InstanceIds: instances, GatewayMessageIds: gateways, Statuses: []string{"read"}, Ats: []time.Time{now}, Reasons: []string{""},
			})
		}},
		{"TakeEarlyEvidence", false, func(q *db.Queries) {
			_, _ = q.TakeEarlyEvidence(ctx, db.TakeEarlyEvidenceParams{Since: now, MaxRows: 500})
		}},
		{"AskToRead", true, func(q *db.Queries) { _, _ = q.AskToRead(ctx, w.message) }},
		{"ClaimRead", true, func(q *db.Queries) {
			_, _ = q.ClaimRead(ctx, db.ClaimReadParams{MessageID: w.message, Lease: time.Minute})
		}},
		{"FinishRead", true, func(q *db.Queries) { _ = q.FinishRead(ctx, w.message) }},
		{"PutOffRead", true, func(q *db.Queries) {
			_ = q.PutOffRead(ctx, db.PutOffReadParams{MessageID: w.message, Attempt: 1, Code: "c", Reason: "r", Wait: time.Second})
		}},
		{"DueReads", false, func(q *db.Queries) { _, _ = q.DueReads(ctx, db.DueReadsParams{DueBefore: now, MaxRows: 500}) }},
		{"TypingTarget", true, func(q *db.Queries) {
			_, _ = q.TypingTarget(ctx, db.TypingTargetParams{Address: "x@lid", Instance: "i1"})
		}},
		{"PurgeEvidence", false, func(q *db.Queries) { _, _ = q.PurgeEvidence(ctx, db.PurgeEvidenceParams{Before: now, MaxRows: 500}) }},
		{"PurgeMessages", false, func(q *db.Queries) {
			_, _ = q.PurgeMessages(ctx, db.PurgeMessagesParams{BeforeID: uuid.UUID{1}, Before: now, MaxRows: 500})
		}},
		{"PurgeEvents", false, func(q *db.Queries) {
			_, _ = q.PurgeEvents(ctx, db.PurgeEventsParams{BeforeID: uuid.UUID{1}, States: []string{"applied"}, MaxRows: 500})
		}},

		{"Unacknowledged", false, func(q *db.Queries) {
			_, _ = q.Unacknowledged(ctx, db.UnacknowledgedParams{After: now.Add(-time.Minute), AcceptedAfter: now.Add(-2 * time.Minute), Until: now, MaxRows: 500})
		}},
		{"MarkOverdue", false, func(q *db.Queries) { _, _ = q.MarkOverdue(ctx, ids) }},
		{"CountOverdue", false, func(q *db.Queries) {
			_, _ = q.CountOverdue(ctx, db.CountOverdueParams{InstanceIds: all, Since: now.Add(-time.Hour)})
		}},
		{"KnownWays", true, func(q *db.Queries) {
			_, _ = q.KnownWays(ctx, db.KnownWaysParams{InstanceID: w.instance, GatewayMessageIds: gateways})
		}},
		{"ListOverdueMessages", false, func(q *db.Queries) {
			_, _ = q.ListOverdueMessages(ctx, db.ListOverdueMessagesParams{
				InstanceIds: all, BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1, 0, 0), MaxRows: 51,
			})
		}},
		{"StoreMedia", true, func(q *db.Queries) {
			_, _ = q.StoreMedia(ctx, db.StoreMediaParams{Ids: ids, GatewayIds: gateways, StorageKeys: names})
		}},
		{"ClaimMedia", true, func(q *db.Queries) { _, _ = q.ClaimMedia(ctx, db.ClaimMediaParams{ID: w.message, Lease: time.Second}) }},
		{"RenewMedia", true, func(q *db.Queries) {
			_, _ = q.RenewMedia(ctx, db.RenewMediaParams{ID: w.message, Attempt: 1, Lease: time.Second})
		}},
		{"SettleMedia", true, func(q *db.Queries) {
			_, _ = q.SettleMedia(ctx, db.SettleMediaParams{ID: w.message, Attempt: 1, State: "kept"})
		}},
		{"OverdueMedia", false, func(q *db.Queries) {
			_, _ = q.OverdueMedia(ctx, db.OverdueMediaParams{DueBefore: now, AfterAt: time.Time{}, MaxRows: 500})
		}},
		{"MediaOf", true, func(q *db.Queries) { _, _ = q.MediaOf(ctx, ids) }},
		{"OrphanedMedia", false, func(q *db.Queries) { _, _ = q.OrphanedMedia(ctx, db.OrphanedMediaParams{MaxRows: 500}) }},
		{"ForgetMedia", false, func(q *db.Queries) { _ = q.ForgetMedia(ctx, ids) }},

		list("ListMessages of an instance", instances),
		list("ListMessages of all", all),
		{"WalkMessages", false, func(q *db.Queries) {
			_, _ = q.WalkMessages(ctx, db.WalkMessagesParams{
				InstanceIds: all, Directions: directions, Statuses: []string{"delivered"}, Query: "'17':*",
				BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1000, 0, 0), EachRows: 200, MaxRows: 51,
			})
		}},
		{"WalkChats", false, func(q *db.Queries) {
			_, _ = q.WalkChats(ctx, db.WalkChatsParams{
				ChatIds: []int64{w.chat}, Directions: directions, Statuses: []string{"delivered"}, Query: "'17':*",
				BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1000, 0, 0), EachRows: 200, MaxRows: 51,
			})
		}},
		{"ListOpen", false, func(q *db.Queries) {
			_, _ = q.ListOpen(ctx, db.ListOpenParams{
				InstanceIds: all, Statuses: []string{"unknown"}, BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1, 0, 0), LookAt: 200, MaxRows: 51,
			})
		}},
		{"ListStopped", false, func(q *db.Queries) {
			_, _ = q.ListStopped(ctx, db.ListStoppedParams{
				InstanceIds: all, Statuses: []string{"failed"}, BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1, 0, 0), LookAt: 200, MaxRows: 51,
			})
		}},
		{"ListChatMessages", false, func(q *db.Queries) {
			_, _ = q.ListChatMessages(ctx, db.ListChatMessagesParams{
				ChatIds: []int64{w.chat}, BeforeAt: now, BeforeSeq: 1 << 40, Since: now.AddDate(-1, 0, 0), MaxRows: 51,
			})
		}},
		{"SearchMessages", false, func(q *db.Queries) {
			_, _ = q.SearchMessages(ctx, db.SearchMessagesParams{
				Query: "'17':*", Indexed: "'17':*", InstanceIds: all, ChatIds: []int64{}, Directions: directions, Statuses: []string{}, BeforeAt: now,
				BeforeSeq: 1 << 40, Since: now.AddDate(-1, 0, 0), MaxRows: 51,
			})
		}},
		{"UselessWords", false, func(q *db.Queries) {
			_, _ = q.UselessWords(ctx, db.UselessWordsParams{Words: []string{"17"}, Terms: []string{"'17':*"}, Part: 0.01})
		}},
		{"ChatIDs", false, func(q *db.Queries) { _, _ = q.ChatIDs(ctx, db.ChatIDsParams{InstanceIds: all, Address: "x@lid"}) }},
		{"ListChats", false, func(q *db.Queries) {
			_, _ = q.ListChats(ctx, db.ListChatsParams{InstanceID: w.instance, BeforeAt: now, BeforeID: 1 << 40, MaxRows: 51})
		}},
		{"MessagesByID", false, func(q *db.Queries) { _, _ = q.MessagesByID(ctx, ids) }},
		{"MessageDetail", true, func(q *db.Queries) { _, _ = q.MessageDetail(ctx, w.message) }},
		{"CancelMessage", true, func(q *db.Queries) { _, _ = q.CancelMessage(ctx, w.message) }},
		{"RetryMessage", true, func(q *db.Queries) { _, _ = q.RetryMessage(ctx, w.message) }},
	}
}
