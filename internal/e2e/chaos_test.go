package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/migrations"
	"github.com/msgorch/msgorch/tasks"
)

// The size of the storm: small in every test run, large in `make chaos`.
// SEED=n repeats a storm's choices, though not its timing.
const (
	stormMessages = 1000
	stormChats    = 50
	stormSeconds  = 20
	stormCallers  = 20
	drainPatience = 4 * time.Minute
)

// TestChaos runs messages in both directions while workers, APIs, PostgreSQL,
// Redis and the gateway fail at random, and then compares what callers were
// told with the rows and with the gateway's own log.
func TestChaos(t *testing.T) {
	t.Parallel()
	c := newStorm(t)
	t.Logf("SEED=%d", c.seed)
	c.run()
	c.drain()
	c.judge()
}

type storm struct {
	t        *testing.T
	seed     int64
	rng      *rand.Rand
	servers  *servers
	sys      *system
	apis     []*process
	apiURLs  []string
	pool     *pgxpool.Pool // past the proxies' cuts it recovers by itself
	rdb      *redis.Client
	messages int
	chats    int
	length   time.Duration

	told     sync.Map // key → id, of every message answered with 202
	received sync.Map // gateway id → text, of every message somebody sent us
	refused  atomic.Int64
	retried  atomic.Int64

	mu         sync.Mutex
	violations []string
	events     map[string]int
	recovery   []time.Duration
	watching   sync.WaitGroup
}

func number(tb testing.TB, name string, otherwise int) int {
	tb.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("%s must be a number", name)
	}
	return n
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	c := &storm{
		t: t, servers: startServers(t), events: map[string]int{},
		seed:     int64(number(t, "SEED", int(time.Now().UnixNano()%1_000_000))),
		messages: number(t, "CHAOS_MESSAGES", stormMessages), chats: number(t, "CHAOS_CHATS", stormChats),
		length: time.Duration(number(t, "CHAOS_SECONDS", stormSeconds)) * time.Second,
	}
	c.rng = rand.New(rand.NewPCG(uint64(c.seed), 0))
	if err := migrations.Up(t.Context(), c.servers.database); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.pool, err = db.Open(t.Context(), c.servers.database, 4); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.pool.Close)
	opt, err := redis.ParseURL(c.servers.cache)
	if err != nil {
		t.Fatal(err)
	}
	c.rdb = redis.NewClient(opt)
	t.Cleanup(func() { _ = c.rdb.Close() })

	c.sys = &system{tb: t, gateway: sandbox.New(sandbox.Options{APIKey: gatewayKey, Seed: c.seed, WebhookBackoff: 200 * time.Millisecond, WebhookAttempts: 16})}
	srv := httptest.NewServer(c.sys.gateway)
	t.Cleanup(func() { c.sys.gateway.Close(); srv.Close() })
	c.sys.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DATABASE_URL=" + c.servers.database, "REDIS_URL=" + c.servers.cache,
		"ADMIN_ADDR=127.0.0.1:0", "WORKER_ADDR=127.0.0.1:0", "API_TOKEN=" + apiToken, "WEBHOOK_TOKEN=" + webhookToken,
		"EVOLUTION_BASE_URL=" + srv.URL, "EVOLUTION_API_KEY=" + gatewayKey, "ALLOW_PRIVATE_TARGETS=true", "LOG_FORMAT=json", "LOG_LEVEL=warn,api=info,worker=info",
	}
	for range 2 {
		port := freePort(t)
		c.apiURLs = append(c.apiURLs, "http://127.0.0.1:"+port)
		c.apis = append(c.apis, nil)
		c.startAPI(len(c.apis) - 1)
	}
	c.sys.gateway.SetWebhook(c.apiURLs[0]+"/webhooks/evolution", webhookToken)
	for range 3 {
		c.sys.startWorker()
	}
	c.sys.instance("storm")
	c.faults(0)
	return c
}

func freePort(tb testing.TB) string {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

func (c *storm) startAPI(n int) {
	c.t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(c.apiURLs[n], "http://"), ":")
	c.apis[n] = c.sys.startAPI("LISTEN_PORT=" + port)
}

// faults sets the gateway's everyday faults, five in a hundred, and more on top.
func (c *storm) faults(more float64) {
	c.t.Helper()
	f := sandbox.DefaultFaults()
	f.Error500, f.TooMany, f.RetryAfterSeconds = 0.02, 0.005, 1
	f.Reset, f.ResetDelivers, f.Hang, f.HangSeconds, f.NoKeyID = 0.015+more, 0.5, 0.005+more, 2, 0.005
	f.Slow, f.SlowMS = 0.1, []int{20, 150}
	f.WebhookDuplicate, f.WebhookReorder, f.WebhookReorderMS = 0.05, 0.05, []int{20, 200}
	if err := c.sys.gateway.SetFaults(f); err != nil {
		c.t.Fatal(err)
	}
}

// run sends and receives for the length of the storm, while things fail.
func (c *storm) run() {
	c.t.Helper()
	out := c.messages * 3 / 4
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var traffic sync.WaitGroup
	for caller := range stormCallers {
		traffic.Go(func() { c.send(ctx, caller, out) })
	}
	traffic.Go(func() { c.receive(c.messages - out) })
	over := make(chan struct{})
	go func() { traffic.Wait(); close(over) }()
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(2000+c.rng.IntN(3000)) * time.Millisecond):
			c.strike()
		}
	}
}

// send accepts one caller's messages. A chat has one caller, so that the order
// in which its messages were accepted is known.
func (c *storm) send(ctx context.Context, caller, total int) {
	client := &http.Client{Timeout: 15 * time.Second}
	defer client.CloseIdleConnections()
	perChat := total / c.chats
	mine := (c.chats - caller + stormCallers - 1) / stormCallers
	pace := time.NewTicker(max(c.length/time.Duration(max(perChat*mine, 1)), time.Millisecond))
	defer pace.Stop()
	for k := range perChat {
		for chat := caller; chat < c.chats; chat += stormCallers {
			<-pace.C
			c.accept(ctx, client, fmt.Sprintf("%03d-%04d", chat, k), fmt.Sprintf("52155500%05d", chat))
		}
	}
}

// accept insists until a message is accepted, as a careful caller does.
func (c *storm) accept(ctx context.Context, client *http.Client, key, to string) {
	body, err := json.Marshal(map[string]any{"instance": "storm", "to": to, "text": key})
	if err != nil {
		c.violate("encode: %v", err)
		return
	}
	for try := range 600 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.apiURLs[try%2]+"/v1/messages", bytes.NewReader(body))
		if err != nil {
			c.violate("request: %v", err)
			return
		}
		req.Header = http.Header{"Authorization": {"Bearer " + apiToken}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
		resp, err := client.Do(req)
		if err == nil {
			raw, readErr := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			var m struct{ ID string }
			switch {
			case readErr == nil && resp.StatusCode == http.StatusAccepted && json.Unmarshal(raw, &m) == nil:
				c.told.Store(key, m.ID)
				return
			case resp.StatusCode < http.StatusInternalServerError:
				c.violate("%s was answered %d: %s", key, resp.StatusCode, raw)
				return
			case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "":
				c.violate("a 503 without Retry-After")
			case resp.StatusCode == http.StatusInternalServerError:
				c.violate("a 500: %s", raw)
			}
			c.refused.Add(1)
		}
		c.retried.Add(1)
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // a caller's patience
	}
	c.violate("%s was never accepted", key)
}

// receive has people write to us.
func (c *storm) receive(total int) {
	perChat := max(total/c.chats, 1)
	pace := time.NewTicker(max(c.length/time.Duration(perChat*c.chats), time.Millisecond))
	defer pace.Stop()
	base := time.Now().Add(-time.Duration(perChat) * time.Second).Truncate(time.Second)
	for k := range perChat {
		for chat := range c.chats {
			<-pace.C
			text := fmt.Sprintf("in-%03d-%04d", chat, k)
			ids, err := c.sys.gateway.Receive(sandbox.Inbound{
				Instance: "storm", From: fmt.Sprintf("52155500%05d", chat), Text: text, Timestamp: base.Add(time.Duration(k) * time.Second).Unix(),
			})
			if err != nil {
				c.violate("receive: %v", err)
				return
			}
			c.received.Store(ids[0], text)
		}
	}
}

// strike makes something fail.
func (c *storm) strike() {
	c.t.Helper()
	strikes := []struct {
		name string
		do   func()
	}{
		{"worker killed", c.killWorker},
		{"worker killed", c.killWorker},
		{"worker restarted", func() { c.restartWorker(syscall.SIGTERM) }},
		{"API killed", func() { c.restartAPI(syscall.SIGKILL) }},
		{"API restarted", func() { c.restartAPI(syscall.SIGTERM) }},
		{"Redis flushed", func() { _ = c.rdb.FlushAll(context.Background()).Err() }},
		{"Redis killed", func() { c.servers.killRedis(); c.pause(500, 2500); c.servers.start() }},
		{"PostgreSQL crashed", func() { c.servers.crashPostgres(); c.pause(100, 1500); c.servers.start() }},
		{"gateway broken", func() { c.faults(0.3); c.pause(500, 1500); c.faults(0) }},
	}
	s := strikes[c.rng.IntN(len(strikes))]
	c.events[s.name]++
	s.do()
}

// pause lets a failure last for a while.
func (c *storm) pause(least, most int) {
	time.Sleep(time.Duration(least+c.rng.IntN(most-least)) * time.Millisecond) //nolint:forbidigo // the failure's length
}

func (c *storm) killWorker() {
	n := c.rng.IntN(len(c.sys.workers))
	w := c.sys.workers[n]
	_ = w.cmd.Process.Kill()
	w.wait()
	c.watch(time.Now())
	c.pause(200, 1500)
	c.replaceWorker(n)
}

func (c *storm) restartWorker(sig syscall.Signal) {
	n := c.rng.IntN(len(c.sys.workers))
	_ = c.sys.workers[n].cmd.Process.Signal(sig)
	if code := c.sys.workers[n].wait(); code != 0 {
		c.violate("a worker that was told to stop ended with %d", code)
	}
	c.replaceWorker(n)
}

func (c *storm) replaceWorker(n int) {
	fresh := c.sys.startWorker()
	c.sys.workers = c.sys.workers[:len(c.sys.workers)-1]
	c.sys.workers[n] = fresh
}

func (c *storm) restartAPI(sig syscall.Signal) {
	n := c.rng.IntN(len(c.apis))
	_ = c.apis[n].cmd.Process.Signal(sig)
	if code := c.apis[n].wait(); sig == syscall.SIGTERM && code != 0 {
		c.violate("an API that was told to stop ended with %d", code)
	}
	c.startAPI(n)
}

// watch measures how long what was being sent at a kill takes to go on.
func (c *storm) watch(killed time.Time) {
	var ids []uuid.UUID
	rows, err := c.pool.Query(c.t.Context(), "SELECT id FROM messages WHERE status = 'sending'")
	if err != nil {
		return
	}
	for rows.Next() {
		var id uuid.UUID
		if rows.Scan(&id) == nil {
			ids = append(ids, id)
		}
	}
	c.watching.Go(func() {
		for tick := time.NewTicker(100 * time.Millisecond); len(ids) > 0 && time.Since(killed) < drainPatience; <-tick.C {
			var open []uuid.UUID
			err := c.pool.QueryRow(context.Background(), "SELECT COALESCE(array_agg(id), '{}') FROM messages WHERE id = ANY($1) AND status IN ('sending', 'unknown')", ids).Scan(&open)
			if err != nil {
				continue // PostgreSQL is away just now
			}
			c.mu.Lock()
			for range len(ids) - len(open) {
				c.recovery = append(c.recovery, time.Since(killed))
			}
			c.mu.Unlock()
			ids = open
		}
	})
}

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

func (c *storm) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// judge compares what callers were told, the rows, and the gateway's log.
func (c *storm) judge() {
	c.t.Helper()
	times, order := map[string]int{}, map[string][]string{}
	asked := 0
	for _, m := range c.sys.gateway.Sent() {
		asked++
		if m.Delivered {
			times[m.Text]++
			order[m.To] = append(order[m.To], m.Text)
		}
	}
	counts := map[string]int{}
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

func (c *storm) judgeSent(times map[string]int, counts map[string]int) {
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
	line := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	line("seed", c.seed)
	for _, name := range []string{"accepted", "final, sent", "final, failed", "lost", "sent twice", "in doubt, resolved", "inversions out", "received", "lost in", "inversions in", "applied late"} {
		line(name, counts[name])
	}
	line("requests repeated by callers", c.retried.Load())
	line("sends asked of the gateway", asked)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range c.events {
			if !yield(n) {
				return
			}
		}
	}) {
		line(name, c.events[name])
	}
	slices.Sort(c.recovery)
	if n := len(c.recovery); n > 0 {
		line("from a kill to progress, median", c.recovery[n/2].Round(10*time.Millisecond))
		line("from a kill to progress, maximum", c.recovery[n-1].Round(10*time.Millisecond))
	}
	_ = w.Flush() // to memory
	c.t.Logf("\n%s", out.String())
	for i, v := range c.violations {
		if i == 40 {
			c.t.Errorf("and %d more", len(c.violations)-i)
			break
		}
		c.t.Errorf("violated: %s", v)
	}
}
