package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	fillSpan  = 2 * 365 * 24 * time.Hour // how far back the history goes
	fillChats = 20_000                   // of which a few have most messages
	fillWords = 20_000                   // of the vocabulary, used as seldom as words are
)

// Fill stores as many settled messages as a business has after two years, by
// COPY, in a migrated database of a superuser. Indexes are made afterwards: that
// is several times as fast. Half of the messages are outbound, with an attempt
// each; the first word of every text is "hola", every hundredth has one of its
// own.
func Fill(ctx context.Context, conn *pgx.Conn, messages int) error {
	for _, name := range []string{"message_direction", "message_status"} {
		t, err := conn.LoadType(ctx, name)
		if err != nil {
			return fmt.Errorf("load type: %w", err)
		}
		conn.TypeMap().RegisterType(t)
	}
	indexes, err := dropIndexes(ctx, conn)
	if err != nil {
		return err
	}
	for _, sql := range []string{
		"SET session_replication_role = replica", // foreign keys hold: we make both sides
		"SET synchronous_commit = off", "SET maintenance_work_mem = '1GB'", "SET statement_timeout = 0",
		"INSERT INTO instances (name, gateway) SELECT 'history' || n, 'sandbox' FROM generate_series(1, 4) n",
		fmt.Sprintf(`INSERT INTO chats (instance_id, jid, last_message_at)
			SELECT i.id, (5215500000000 + n) || '@s.whatsapp.net', now() FROM generate_series(0, %d) n
			JOIN instances i ON i.name = 'history' || (1 + n %% 4) ORDER BY n`, fillChats-1),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare to fill: %w", err)
		}
	}
	full, err := fillFull(ctx, conn)
	if err != nil {
		return err
	}
	if err := copyHistory(ctx, conn, messages); err != nil {
		return err
	}
	for _, sql := range append(indexes, full, "VACUUM (ANALYZE)", "SET session_replication_role = origin") {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("finish filling: %w", err)
		}
	}
	return nil
}

// grownFull is how full the pages of messages should be in the end, in percent,
// reckoned from the sizes of rows: a row is stored when it was accepted, next to others
// of that size, and grows with what is learned of it, into room that no new row may
// take. Rows that are copied as they are in the end would leave room in every tenth page for a new one, and new
// messages would go there, each into another page of a table that long ago left
// memory, where in life the last pages take them.
const grownFull = 60

// fillFull has pages filled as far as they are in the end, and returns what sets
// that right afterwards.
func fillFull(ctx context.Context, conn *pgx.Conn) (again string, err error) {
	err = conn.QueryRow(ctx, `
		SELECT 'ALTER TABLE messages SET (fillfactor = ' || o.option_value || ')'
		FROM pg_class c CROSS JOIN pg_options_to_table(c.reloptions) o
		WHERE c.oid = 'messages'::regclass AND o.option_name = 'fillfactor'`).Scan(&again)
	if err == nil {
		_, err = conn.Exec(ctx, fmt.Sprintf("ALTER TABLE messages SET (fillfactor = %d)", grownFull))
	}
	if err != nil {
		return "", fmt.Errorf("fill pages as they are in the end: %w", err)
	}
	return again, nil
}

// dropIndexes drops the indexes of messages that no constraint needs, and
// returns what makes them again.
func dropIndexes(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT indexname, indexdef FROM pg_indexes
		WHERE tablename = 'messages' AND indexname NOT IN (SELECT conname FROM pg_constraint)`)
	if err != nil {
		return nil, fmt.Errorf("list indexes: %w", err)
	}
	type index struct{ Name, Def string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return nil, fmt.Errorf("list indexes: %w", err)
	}
	var again []string
	for _, i := range found {
		if _, err := conn.Exec(ctx, "DROP INDEX "+pgx.Identifier{i.Name}.Sanitize()); err != nil {
			return nil, fmt.Errorf("drop index: %w", err)
		}
		again = append(again, i.Def)
	}
	return again, nil
}

// copyHistory copies the rows, so many at a time that the attempts may come in
// between.
func copyHistory(ctx context.Context, conn *pgx.Conn, messages int) error {
	const batch = 50_000
	var first, instance int64
	if err := conn.QueryRow(ctx, "SELECT min(c.id), min(c.instance_id) FROM chats c JOIN instances i ON i.id = c.instance_id AND i.name LIKE 'history%'").Scan(&first, &instance); err != nil {
		return fmt.Errorf("find chats: %w", err)
	}
	w := newWriter(messages, first, instance)
	columns := []string{
		"id", "instance_id", "chat_id", "direction", "status", "type", "text", "gateway_message_id", "idempotency_key", "request_hash",
		"attempt", "history", "error_code", "error_text", "created_at", "accepted_at", "sent_at", "delivered_at", "read_at", "stopped_at", "settled_at",
	}
	for from := 0; from < messages; from += batch {
		var attempts [][]any
		n := min(batch, messages-from)
		rows := pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			message, attempt := w.message(from + i)
			if attempt != nil {
				attempts = append(attempts, attempt)
			}
			return message, nil
		})
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"messages"}, columns, rows); err != nil {
			return fmt.Errorf("copy messages: %w", err)
		}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"attempts"},
			[]string{"message_id", "attempt", "started_at", "duration_ms", "outcome", "http_status", "code"}, pgx.CopyFromRows(attempts))
		if err != nil {
			return fmt.Errorf("copy attempts: %w", err)
		}
	}
	return nil
}

// writer makes up messages; the same number gives the same ones but for their
// times.
type writer struct {
	random    *rand.Rand
	words     []string
	pick      *rand.Zipf // a word
	chat      *rand.Zipf
	firstChat int64
	instance  int64
	start     time.Time
	step      time.Duration
}

func newWriter(messages int, firstChat, instance int64) *writer {
	r := rand.New(rand.NewPCG(1, 2))
	w := &writer{
		random: r, firstChat: firstChat, instance: instance, start: time.Now().Add(-fillSpan), step: fillSpan / time.Duration(messages),
		pick: rand.NewZipf(r, 1.1, 4, fillWords-1), chat: rand.NewZipf(r, 1.2, 50, fillChats-1),
	}
	syllables := strings.Fields("ma pe ro ta li cu no sa de vi gar mon tes bra fu")
	for n := range fillWords {
		var word strings.Builder
		for rest := n + len(syllables); rest > 0; rest /= len(syllables) {
			word.WriteString(syllables[rest%len(syllables)])
		}
		w.words = append(w.words, word.String())
	}
	return w
}

// message returns the rows of a message and of its attempt; an inbound one has
// none.
func (w *writer) message(n int) (message, attempt []any) {
	at := w.start.Add(time.Duration(n) * w.step)
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000|uint64(n&0xfff))
	binary.BigEndian.PutUint64(id[8:], w.random.Uint64()&^(3<<62)|2<<62)
	chat := int64(w.chat.Uint64())
	gatewayID := fmt.Sprintf("3EB0%016X", w.random.Uint64())
	row := []any{
		id, w.instance + chat%4, w.firstChat + chat, "inbound", "received", "text", w.text(n), gatewayID, nil, nil,
		0, `[{"at": "2026-01-01T12:00:00.123456+00:00", "status": "received"}]`, nil, nil, at, nil, nil, nil, nil, nil, at,
	}
	if n%2 == 1 {
		return row, nil
	}
	const steps = `{"at": "2026-01-01T12:00:00.123456+00:00", "status": "queued"}, {"at": "2026-01-01T12:00:00.223456+00:00", "status": "sending"}, `
	row[3], row[10] = "outbound", 1
	if n%40 == 0 {
		row[4], row[7] = "failed", nil
		row[11], row[12], row[13] = "["+steps+`{"at": "2026-01-01T12:00:00.323456+00:00", "status": "failed"}]`, "number_not_on_whatsapp", "The gateway says that the recipient is not on WhatsApp."
		row[19] = at
		return row, []any{id, 1, at, 80, "permanent", 400, "number_not_on_whatsapp"}
	}
	row[4], row[11] = "read", "["+steps+`{"at": "2026-01-01T12:00:00.323456+00:00", "status": "accepted"}, `+
		`{"at": "2026-01-01T12:00:01.323456+00:00", "status": "delivered"}, {"at": "2026-01-01T12:00:09.323456+00:00", "status": "read"}]`
	row[15], row[16], row[17], row[18] = at, at, at, at
	if n%4 == 0 {
		row[8], row[9] = fmt.Sprintf("order-%d-paid", n), []byte("0123456789abcdef0123456789abcdef")
	}
	return row, []any{id, 1, at, 80, "accepted", 201, nil}
}

// text is a dozen words, as seldom as words are.
func (w *writer) text(n int) string {
	var b strings.Builder
	b.WriteString("Hola")
	if n%100 == 0 {
		fmt.Fprintf(&b, " folio%d", n)
	}
	for range 8 + w.random.IntN(8) {
		b.WriteString(" " + w.words[w.pick.Uint64()])
	}
	return b.String()
}
