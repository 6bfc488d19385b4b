package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/msgorch/msgorch/tasks"
)

// drain waits until nothing is left to do.
func (c *storm) drain() {
	c.t.Helper()
	c.faults(0)
	began := time.Now()
	left := ""
	for tick := time.NewTicker(500 * time.Millisecond); ; <-tick.C {
		if left = c.left(); left == "" {
			break
		}
		if time.Since(began) > drainPatience {
			c.violate("after %s there is still work: %s", drainPatience, left)
			break
		}
	}
	c.watching.Wait()
	c.t.Logf("drained %s after the storm", time.Since(began).Round(time.Second))
}

// left says what is still to be done.
func (c *storm) left() string {
	var open, pending int
	err := c.pool.QueryRow(context.Background(), `SELECT
		(SELECT count(*) FROM messages WHERE settled_at IS NULL),
		(SELECT count(*) FROM gateway_events WHERE state = 'pending')`).Scan(&open, &pending)
	if err != nil {
		return err.Error()
	}
	queued := 0
	for _, q := range tasks.Queues() {
		for _, kind := range []string{"pending", "active"} {
			n, err := c.rdb.LLen(context.Background(), "asynq:{"+q+"}:"+kind).Result()
			if err != nil {
				return err.Error()
			}
			queued += int(n)
		}
		for _, kind := range []string{"scheduled", "retry"} {
			n, err := c.rdb.ZCard(context.Background(), "asynq:{"+q+"}:"+kind).Result()
			if err != nil {
				return err.Error()
			}
			queued += int(n)
		}
	}
	rec := httptest.NewRecorder()
	c.sys.gateway.ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/sandbox/webhooks", http.NoBody))
	var webhooks struct{ Unfinished, Exhausted int }
	if err := json.Unmarshal(rec.Body.Bytes(), &webhooks); err != nil {
		return err.Error()
	}
	if open+pending+queued+webhooks.Unfinished == 0 {
		return ""
	}
	return fmt.Sprintf("%d rows, %d events, %d tasks, %d webhooks", open, pending, queued, webhooks.Unfinished)
}

// judge compares what callers were told, the rows, and the gateway's log.
func (c *storm) judge() {
	c.t.Helper()
	times, order := map[string]int{}, map[string][]string{}
	asked := 0
	counts := map[string]int{}
	united := c.united(counts)
	for _, m := range c.sys.gateway.Sent() {
		asked++
		if m.Delivered {
			times[m.Text]++
			for _, line := range linesOf(m.Text, united) {
				order[line] = append(order[line], m.Text)
			}
		}
	}
	c.judgeSent(times, counts)
	for chat, texts := range order {
		for i := 1; i < len(texts); i++ {
			if texts[i] < texts[i-1] {
				counts["inversions out"]++
				c.violate("%s got %s after %s", chat, texts[i], texts[i-1])
			}
		}
	}
	c.judgeReceived(counts)
	c.report(asked, counts)
}

// united tells, for each message to somebody with two addresses, whether it was
// accepted when their chats were one. All must be in the end.
func (c *storm) united(counts map[string]int) map[string]bool {
	c.t.Helper()
	rows, err := c.pool.Query(c.t.Context(), `
		SELECT m.idempotency_key, m.created_at > COALESCE(max(a.joined_at) OVER (PARTITION BY m.chat_id), 'infinity')
		FROM messages m JOIN addresses a ON a.chat_id = m.chat_id AND a.address LIKE '%@lid'
		WHERE m.idempotency_key IS NOT NULL`)
	if err != nil {
		c.t.Fatal(err)
	}
	united := map[string]bool{}
	for rows.Next() {
		var key string
		var one bool
		if err := rows.Scan(&key, &one); err != nil {
			c.t.Fatal(err)
		}
		united[key] = one
		if one {
			counts["accepted after merging"]++
		}
	}
	var chats, merged, left int
	err = c.pool.QueryRow(c.t.Context(), `SELECT (SELECT count(*) FROM chats), (SELECT count(*) FROM addresses WHERE joined_at IS NOT NULL),
		(SELECT count(*) FROM chat_merges)`).Scan(&chats, &merged, &left)
	if err != nil {
		c.t.Fatal(err)
	}
	if chats != c.chats || left > 0 {
		c.violate("%d chats for %d people, and %d are to be merged", chats, c.chats, left)
	}
	counts["chats merged"] = merged
	return united
}

// linesOf returns the orders in which a message stands: that of its chat, or, for
// somebody with two addresses, of the one it was accepted for, and of both once
// their chats are one.
func linesOf(text string, united map[string]bool) []string {
	var chat, k int
	if n, err := fmt.Sscanf(text, "%d-%d", &chat, &k); n != 2 || err != nil || !isTwin(chat) {
		return []string{text[:3]}
	}
	lines := []string{addressOf(chat, k)}
	if united[text] {
		lines = append(lines, text[:3]+" united")
	}
	return lines
}

func (c *storm) judgeSent(times, counts map[string]int) {
	c.t.Helper()
	type row struct {
		id, status string
		doubted    bool
	}
	rows := map[string]row{}
	found, err := c.pool.Query(c.t.Context(), `SELECT idempotency_key, id::text, status::text, history @> '[{"status":"unknown"}]'
		FROM messages WHERE idempotency_key IS NOT NULL`)
	if err != nil {
		c.t.Fatal(err)
	}
	for found.Next() {
		var key string
		var r row
		if err := found.Scan(&key, &r.id, &r.status, &r.doubted); err != nil {
			c.t.Fatal(err)
		}
		rows[key] = r
		if r.doubted {
			counts["in doubt, resolved"]++
		}
	}
	c.told.Range(func(key, id any) bool {
		counts["accepted"]++
		r, n := rows[key.(string)], times[key.(string)]
		switch {
		case r.id != id:
			counts["lost"]++
			c.violate("%v was accepted as %v, and its row is %q", key, id, r.id)
		case n > 1:
			counts["sent twice"]++
			c.violate("%v was sent %d times", key, n)
		case slices.Contains([]string{"accepted", "sent", "delivered", "read", "played"}, r.status):
			counts["final, sent"]++
			if n == 0 {
				counts["lost"]++
				c.violate("%v is %s and was never sent", key, r.status)
			}
		case r.status == "failed":
			counts["final, failed"]++
			if n > 0 {
				c.violate("%v is failed and was sent", key)
			}
		default:
			c.violate("%v is %s", key, r.status)
		}
		return true
	})
	var echoes int
	if err := c.pool.QueryRow(c.t.Context(), "SELECT count(*) FROM messages WHERE direction = 'outbound' AND idempotency_key IS NULL").Scan(&echoes); err != nil {
		c.t.Fatal(err)
	}
	if echoes > 0 {
		c.violate("%d messages have a second row", echoes)
	}
}

func (c *storm) judgeReceived(counts map[string]int) {
	c.t.Helper()
	found, err := c.pool.Query(c.t.Context(), `SELECT chat_id, gateway_message_id, text, seq FROM messages
		WHERE direction = 'inbound' ORDER BY chat_id, created_at, seq`)
	if err != nil {
		c.t.Fatal(err)
	}
	seen := map[string]bool{}
	var lastChat, lastSeq int64
	last := ""
	for found.Next() {
		var chat, seq int64
		var id, text string
		if err := found.Scan(&chat, &id, &text, &seq); err != nil {
			c.t.Fatal(err)
		}
		if chat == lastChat && text < last {
			counts["inversions in"]++
			c.violate("%s stands after %s", text, last)
		}
		if chat == lastChat && seq < lastSeq {
			counts["applied late"]++
		}
		if seen[id] {
			c.violate("%s was stored twice", text)
		}
		seen[id] = true
		lastChat, lastSeq, last = chat, seq, text
	}
	c.received.Range(func(id, text any) bool {
		counts["received"]++
		if !seen[id.(string)] {
			counts["lost in"]++
			c.violate("%v was never stored", text)
		}
		return true
	})
}

func (c *storm) report(asked int, counts map[string]int) {
	c.t.Helper()
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	line := func(name string, value any) { _, _ = fmt.Fprintf(w, "%s\t%v\n", name, value) } // to memory
	line("seed", c.seed)
	for _, name := range []string{"accepted", "final, sent", "final, failed", "lost", "sent twice", "in doubt, resolved", "inversions out", "received", "lost in", "inversions in", "applied late", "chats merged", "accepted after merging"} {
		line(name, counts[name])
	}
	line("requests repeated by callers", c.retried.Load())
	line("sends asked of the gateway", asked)
	for _, name := range slices.Sorted(maps.Keys(c.events)) {
		line(name, c.events[name])
	}
	slices.Sort(c.recovery)
	if n := len(c.recovery); n > 0 {
		line("from a kill to progress, median", c.recovery[n/2].Round(10*time.Millisecond))
		line("from a kill to progress, maximum", c.recovery[n-1].Round(10*time.Millisecond))
	}
	_ = w.Flush()
	c.t.Logf("\n%s", out.String())
	for i, v := range c.violations {
		if i == 40 {
			c.t.Errorf("and %d more", len(c.violations)-i)
			break
		}
		c.t.Errorf("violated: %s", v)
	}
}
