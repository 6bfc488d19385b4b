package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/migrations"
)

// fill makes the database with a history.
func (s *servers) fill(ctx context.Context) error {
	if s.History == 0 {
		return nil
	}
	began := time.Now()
	address, err := s.address(full)
	if err != nil {
		return err
	}
	var there bool
	if err := s.admin.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", database(full)).Scan(&there); err != nil {
		return err
	}
	if there {
		return migrations.Up(ctx, address)
	}
	if err := s.create(ctx, full); err != nil {
		return err
	}
	if err := migrations.Up(ctx, address); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := Fill(ctx, conn, s.History); err != nil {
		return err
	}
	var size int64
	if err := conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
		return err
	}
	s.say("%d messages in history: %.1f GB, made in %v\n", s.History, float64(size)/1e9, time.Since(began).Round(time.Second))
	return nil
}

// lists are what people look at, page after page.
func lists(chat string) []struct{ what, path string } {
	return []struct{ what, path string }{
		{"all messages", "/v1/messages?"},
		{"of an instance", "/v1/messages?instance=history1"},
		{"outbound", "/v1/messages?direction=outbound"},
		{"failed", "/v1/messages?status=failed"},
		{"read", "/v1/messages?status=read"},
		{"canceled", "/v1/messages?status=canceled"},
		{"delivered: none", "/v1/messages?status=delivered&since=2020-01-01T00:00:00Z&instance=history1"},
		{"queued: none", "/v1/messages?status=queued"},
		{"a year ago", "/v1/messages?until=" + url.QueryEscape(time.Now().AddDate(-1, 0, 0).UTC().Format(time.RFC3339))},
		{"200 at a time", "/v1/messages?limit=200"},
		{"chats", "/v1/instances/history1/chats?"},
		{"messages of a large chat", "/v1/instances/history1/chats/" + chat + "/messages?"},
		{"search: one message", "/v1/messages?q=folio300"},
		{"search: a word of every second", "/v1/messages?q=hola"},
		{"search: a word of a hundredth", "/v1/messages?q=" + newWriter(1, 0, 0).words[10]},
		{"search: a word of a ten-thousandth", "/v1/messages?q=" + newWriter(1, 0, 0).words[1500]},
		{"search: two words", "/v1/messages?q=" + newWriter(1, 0, 0).words[3] + "+" + newWriter(1, 0, 0).words[40]},
		{"search: a word nobody used", "/v1/messages?q=zzz"},
		{"search: in a large chat", "/v1/messages?instance=history1&chat=" + chat + "&q=" + newWriter(1, 0, 0).words[1500]},
	}
}

// pages measures lists of a long history, one page after another while nothing else
// is to be done, and what a sweep of the relay costs.
func (s *servers) pages(ctx context.Context) error {
	const most = 1000 // pages of each
	var c contender
	for _, c = range s.contenders() {
		if c.name == full {
			break
		}
	}
	st, err := s.setUp(ctx, c, 1)
	if err != nil {
		return err
	}
	defer st.tearDown(ctx)
	// What autovacuum would do meanwhile, because of the messages sent before, is done.
	if _, err := st.conn.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	s.say("| list with %d messages in history | pages | p50 | p99 |\n|---|---|---|---|\n", s.History)
	for _, l := range lists("5215500000000@s.whatsapp.net") {
		var took []int64
		cursor := ""
		for began := time.Now(); len(took) < most && time.Since(began) < 20*time.Second; {
			next, d, err := st.page(ctx, l.path, cursor)
			if err != nil {
				return fmt.Errorf("list %s: %w", l.what, err)
			}
			took, cursor = append(took, d.Nanoseconds()), next
		}
		slices.Sort(took)
		s.say("| %s | %d | %s | %s |\n", l.what, len(took), ms(took[len(took)/2]), ms(took[len(took)*99/100]))
	}
	each, err := st.meter.sweep(ctx)
	if err != nil {
		return err
	}
	s.say("\nOne sweep of the relay: %s.\n\n", ms(each.Nanoseconds()))
	return nil
}

// page reads a page and says how long that took and what comes next.
func (st *stage) page(ctx context.Context, path, cursor string) (next string, took time.Duration, err error) {
	address := st.api.base + path
	if cursor != "" {
		address += "&cursor=" + url.QueryEscape(cursor)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	took = time.Since(began)
	var body struct {
		Next string `json:"next_cursor"`
	}
	if err = cmp.Or(err, json.Unmarshal(text, &body)); err != nil || resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("it answered %d: %w", resp.StatusCode, err)
	}
	return body.Next, took, nil
}

// sweep returns how long PostgreSQL worked for one sweep of the relay, on
// average.
func (m *meter) sweep(ctx context.Context) (time.Duration, error) {
	var milliseconds float64
	err := m.db.QueryRow(ctx, `
		SELECT COALESCE(sum(total_exec_time / calls), 0) FROM pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND substring(query FROM '-- name: (\w+)') IN (
			'AbandonExpiredLeases', 'ExpireMessages', 'TakeEarlyEvidence', 'DueProbes', 'DuePaced', 'DueHeads', 'NextScheduled', 'OverdueEvents')`).
		Scan(&milliseconds)
	return time.Duration(milliseconds * float64(time.Millisecond)), err
}
