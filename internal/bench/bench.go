// Package bench measures MsgOrch end to end, beside what it competes with: the
// same work, on the same machine, in one run, with every program a process of its
// own. Micro benchmarks live beside what they measure.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Options say what is measured. All fields are required but Peers and Only.
type Options struct {
	Messages, Chats, Callers, Rounds int

	Latency bool  // also measure single messages at even rates
	Rates   []int // a second: only measure single messages at these; empty: after rounds, at shares of the most
	Backlog bool  // accept everything before the worker starts; the clock runs from then on
	Steady  int   // rounds with the history in which as many messages are deleted as come; 0: none
	History int   // also measure with so many messages in history, and lists of them; 0: not

	Keep bool // leave the database with the history for the next run, which takes it as it is

	RedisDelay, PostgresDelay time.Duration // added to each round trip of API and worker

	Bin         string   // folder of api, worker and msgorch
	Peers       string   // the program of the peers; empty: without them
	Only        []string // names of contenders; empty: all
	DatabaseURL string   // of a server where databases may be made
	RedisURL    string   // of an empty database number
	Env         []string // of every program, such as PATH
	Out         io.Writer
}

// warmUp is how many messages go before the clock starts: connections are opened,
// statements prepared, tables are not empty.
const warmUp = 2000

// measured is one run of a contender.
type measured struct {
	took     time.Duration // from the first request until every outcome was recorded
	answered Answered
	used     usage
	slowest  []statement
	peak     map[string]int64 // bytes of memory, by process
}

// Run measures every contender, round by round, and prints tables in Markdown.
func Run(ctx context.Context, o Options) error {
	s, err := newServers(ctx, o)
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx))
	if err := s.fill(ctx); err != nil {
		return err
	}
	if len(o.Rates) > 0 {
		return s.latencies(ctx, o.evenRates())
	}
	contenders := o.contenders()
	runs := map[string][]measured{}
	for round := range o.Rounds {
		for _, c := range contenders {
			m, err := s.throughput(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.label, err)
			}
			runs[c.name] = append(runs[c.name], m)
			o.say("round %d: %-24s %6.0f messages/s, accepted in p50 %s, p99 %s\n", round+1, c.label,
				m.rate(o.Messages), ms(m.answered.P50), ms(m.answered.P99))
		}
	}
	o.report(contenders, runs)
	if o.History > 0 {
		if o.Steady > 0 {
			if err := s.steady(ctx); err != nil {
				return err
			}
		}
		if err := s.pages(ctx); err != nil {
			return err
		}
	}
	if !o.Latency || !slices.ContainsFunc(contenders, func(c contender) bool { return c.name == "api" }) {
		return nil
	}
	return s.latencies(ctx, sharesOf(middle(runs["api"]).rate(o.Messages)))
}

func (o Options) say(format string, args ...any) { _, _ = fmt.Fprintf(o.Out, format, args...) }

func (m measured) rate(messages int) float64 { return float64(messages) / m.took.Seconds() }

// middle returns the run with the median time.
func middle(runs []measured) measured {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b measured) int { return int(a.took - b.took) })
	return sorted[len(sorted)/2]
}

// servers are the PostgreSQL and Redis that everybody uses in turn.
type servers struct {
	Options
	admin *pgx.Conn
	redis *redis.Client
}

var errRedisInUse = errors.New("the Redis database is not empty; give one that nobody uses, such as redis://127.0.0.1:6379/15")

func newServers(ctx context.Context, o Options) (*servers, error) {
	opt, err := redis.ParseURL(o.RedisURL)
	if err != nil {
		return nil, errors.New("REDIS_URL is no URL of a single Redis")
	}
	s := &servers{Options: o, redis: redis.NewClient(opt)}
	if n, err := s.redis.DBSize(ctx).Result(); err != nil || n > 0 {
		return nil, errors.Join(err, errRedisInUse)
	}
	s.admin, err = pgx.Connect(ctx, o.DatabaseURL)
	return s, err
}

func (s *servers) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if !s.Keep {
		_, _ = s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+database(full)+" WITH (FORCE)")
	}
	_ = s.admin.Close(ctx)
	_ = s.redis.Close()
}

// stage is a contender that is ready to work.
type stage struct {
	contender
	servers *servers
	conn    *pgx.Conn // on its own database
	gateway *process
	api     *process
	worker  *process
	work    command // starts the worker
	meter   *meter
	sent    int // messages that were asked for so far
}

// setUp starts a contender on a new database and an empty Redis.
func (s *servers) setUp(ctx context.Context, c contender, messages int) (st *stage, err error) {
	st = &stage{contender: c, servers: s}
	defer func() {
		if err != nil {
			st.tearDown(ctx)
		}
	}()
	if c.name != full {
		if err := s.create(ctx, c.name); err != nil {
			return st, err
		}
	}
	if _, err := s.admin.Exec(ctx, "CHECKPOINT"); err != nil {
		return st, err
	}
	if err := s.redis.FlushDB(ctx).Err(); err != nil {
		return st, err
	}
	address, err := s.address(c.name)
	if err != nil {
		return st, err
	}
	if st.conn, err = pgx.Connect(ctx, address); err != nil {
		return st, err
	}
	if err := c.prepare(ctx, address, st.conn); err != nil {
		return st, err
	}
	if err := st.startAll(ctx, address, messages); err != nil {
		return st, err
	}
	if st.meter, err = newMeter(ctx, st.conn, s.redis); err != nil {
		return st, err
	}
	st.meter.processes = map[string]*process{"api": st.api, "worker": st.worker, "gateway": st.gateway}
	return st, nil
}

// database names a contender's database.
func database(contender string) string { return "msgorch_bench_" + contender }

// create makes a contender's database, empty.
func (s *servers) create(ctx context.Context, contender string) error {
	name := database(contender)
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// address is the URL of a contender's database.
func (s *servers) address(contender string) (string, error) {
	u, err := url.Parse(s.DatabaseURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database(contender)
	return u.String(), nil
}

func (st *stage) startAll(ctx context.Context, database string, messages int) error {
	var addr [4]string
	for i := range addr {
		var err error
		if addr[i], err = freeAddr(ctx); err != nil {
			return err
		}
	}
	s := st.servers
	database, err := far(ctx, database, s.PostgresDelay)
	if err != nil {
		return err
	}
	redisURL, err := far(ctx, s.RedisURL, s.RedisDelay)
	if err != nil {
		return err
	}
	env := append(slices.Clone(s.Env), "DATABASE_URL="+database, "REDIS_URL="+redisURL, "GOTRACEBACK=single")
	st.gateway, err = start(ctx, command{
		name: "gateway", addr: addr[0], env: env,
		argv: []string{filepath.Join(s.Bin, "msgorch"), "bench", "gateway", "--addr", addr[0], "--messages", strconv.Itoa(messages)},
	})
	if err != nil {
		return err
	}
	host, port := "127.0.0.1", addr[1][len("127.0.0.1:"):]
	env = append(env, "GATEWAY_URL="+st.gateway.base, "EVOLUTION_BASE_URL="+st.gateway.base, "EVOLUTION_API_KEY=bench",
		"ALLOW_PRIVATE_TARGETS=true", "API_TOKEN="+token, "WEBHOOK_TOKEN="+token, "LOG_LEVEL=warn", "LOG_FORMAT=json",
		"LISTEN_HOST="+host, "LISTEN_PORT="+port, "ADMIN_ADDR="+addr[3], "WORKER_ADDR="+addr[2])
	metrics := "http://" + addr[1] + "/metrics"
	if st.name == "api" || st.name == full || st.kind == KindHear {
		metrics = "http://" + addr[3] + "/metrics"
	}
	if st.api, err = start(ctx, command{name: "api", addr: addr[1], argv: st.contender.api, metrics: metrics, env: append(slices.Clone(env), "ADDR="+addr[1])}); err != nil {
		return err
	}
	st.work = command{name: "worker", addr: addr[2], argv: st.contender.worker, metrics: "http://" + addr[2] + "/metrics", env: append(slices.Clone(env), "ADDR="+addr[2])}
	st.worker, err = start(ctx, st.work)
	return err
}

func (st *stage) tearDown(ctx context.Context) {
	for _, p := range []*process{st.api, st.worker, st.gateway} {
		if p != nil {
			p.stop()
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if st.conn != nil {
		_ = st.conn.Close(ctx)
	}
	if st.name != full {
		_, _ = st.servers.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+database(st.name)+" WITH (FORCE)")
	}
	_ = st.servers.redis.FlushDB(ctx).Err()
}

// load has another process ask for messages.
func (st *stage) load(ctx context.Context, messages, rate int) (a Answered, err error) {
	argv := []string{
		"bench", "load", "--url", st.api.base, "--kind", st.kind, "--first", strconv.Itoa(st.sent), "--messages", strconv.Itoa(messages),
		"--chats", strconv.Itoa(st.servers.Chats), "--callers", strconv.Itoa(st.servers.Callers), "--rate", strconv.Itoa(rate),
	}
	cmd := exec.CommandContext(ctx, filepath.Join(st.servers.Bin, "msgorch"), argv...) //nolint:gosec // ours
	cmd.Env = append(slices.Clone(st.servers.Env), "API_TOKEN="+token)
	out, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("load: %w", err)
	}
	err = json.Unmarshal(out, &a)
	switch {
	case err != nil:
	case a.Failures > 0:
		err = fmt.Errorf("%d of %d requests failed: %s", a.Failures, messages, a.Failure)
	case a.Messages < messages*99/100: // the machine stood still, and the time was over
		err = fmt.Errorf("only %d of %d requests were made in their time", a.Messages, messages)
	}
	st.sent += a.Messages
	return a, err
}

// finish waits until everything that was asked for is done.
func (st *stage) finish(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); ; {
		done, err := st.finished(ctx)
		if done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not all of %d messages arrived", st.sent)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (st *stage) finished(ctx context.Context) (bool, error) {
	a, err := st.arrivals(ctx, false)
	switch {
	case err != nil:
		return false, err
	case a.Twice > 0:
		return false, fmt.Errorf("%d messages were sent twice", a.Twice)
	case st.kind == KindSend && a.Count < int64(st.sent):
		return false, nil
	}
	return st.drained(ctx, st.conn, st.servers.redis)
}

func (st *stage) arrivals(ctx context.Context, all bool) (a Arrivals, err error) {
	address := st.gateway.base + "/arrivals"
	if all {
		address += "?all=1"
	}
	body, err := get(ctx, address)
	if err != nil {
		return a, err
	}
	err = json.Unmarshal(body, &a)
	return a, err
}

// throughput has a contender do the work once.
func (s *servers) throughput(ctx context.Context, c contender) (m measured, err error) {
	st, err := s.setUp(ctx, c, warmUp+s.Messages)
	if err != nil {
		return m, err
	}
	defer st.tearDown(ctx)
	if m, err = st.measure(ctx, s.Messages, 0); err != nil {
		return m, err
	}
	for _, p := range []*process{st.api, st.worker} {
		if said := p.said.String(); said != "" { // they only warn
			s.say("%s of %s said:\n%s\n", p.name, c.label, said)
		}
	}
	return m, nil
}

var errNoBacklog = errors.New("messages were sent while no worker ran")

// measure warms the programs up and has them do the work: at an even rate a
// second, or, when that is 0, as fast as they answer.
func (st *stage) measure(ctx context.Context, messages, rate int) (m measured, err error) {
	if _, err := st.load(ctx, warmUp, 0); err != nil {
		return m, err
	}
	if err := st.finish(ctx); err != nil {
		return m, err
	}
	if st.servers.Backlog {
		st.worker.stop()
		delete(st.meter.processes, st.worker.name)
	}
	before, err := st.meter.begin(ctx)
	if err != nil {
		return m, err
	}
	if m.answered, err = st.load(ctx, messages, rate); err != nil {
		return m, err
	}
	began := time.Unix(0, m.answered.Began)
	if st.servers.Backlog {
		if a, err := st.arrivals(ctx, false); err != nil || a.Count+int64(messages) > int64(st.sent) {
			return m, errors.Join(err, errNoBacklog)
		}
		began = time.Now()
		if st.worker, err = start(ctx, st.work); err != nil {
			return m, err
		}
		st.meter.processes[st.worker.name] = st.worker
	}
	if err := st.finish(ctx); err != nil {
		return m, err
	}
	m.took = time.Since(began)
	after, err := st.meter.read(ctx)
	if err != nil {
		return m, err
	}
	m.used = after.since(before)
	if m.slowest, err = st.meter.slowest(ctx); err != nil {
		return m, err
	}
	m.peak = map[string]int64{"api": peakMemory(st.api.pid()), "worker": peakMemory(st.worker.pid())}
	return m, nil
}
