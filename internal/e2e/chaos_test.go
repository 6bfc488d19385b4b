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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/migrations"
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
			c.accept(ctx, client, fmt.Sprintf("%03d-%04d", chat, k), addressOf(chat, k))
		}
	}
}

// twinEach is every which chat is of somebody with two addresses: callers write to
// both, in turns, and they write from the LID alone until half of the storm has
// passed, when the gateway tells that it is the number's.
const twinEach = 5

func isTwin(chat int) bool { return chat%twinEach == 0 }

// addressOf returns where the message k of a chat goes.
func addressOf(chat, k int) string {
	number := fmt.Sprintf("52155500%05d", chat)
	if isTwin(chat) && k%2 == 1 {
		return "90" + number + "@lid" // as the sandbox makes LIDs
	}
	return number
}

// accept insists until a message is accepted, as a careful caller does.
func (c *storm) accept(ctx context.Context, client *http.Client, key, to string) {
	priorities := []string{"critical", "default", "bulk"} // which order chats, never the messages of one
	priority := priorities[int(key[len(key)-1])%len(priorities)]
	body, err := json.Marshal(map[string]any{"instance": "storm", "to": to, "text": key, "priority": priority})
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
				Instance: "storm", From: c.writes(chat, k, perChat), Text: text, Timestamp: base.Add(time.Duration(k) * time.Second).Unix(),
			})
			if err != nil {
				c.violate("receive: %v", err)
				return
			}
			c.received.Store(ids[0], text)
		}
	}
}

// writes returns the address from which the message k of a chat comes.
func (c *storm) writes(chat, k, perChat int) string {
	if isTwin(chat) && k < (perChat+1)/2 {
		return addressOf(chat, 1)
	}
	return addressOf(chat, 0)
}

func (c *storm) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}
