package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// usage is what everything had used at a moment.
type usage struct {
	cpu        map[string]time.Duration // by process
	statements int64                    // of SQL; -1: the server does not count them
	commands   int64                    // of Redis
	allocs     map[string]int64         // by process of ours
	wal        int64                    // bytes
}

// since returns what was used after an earlier moment.
func (u usage) since(before usage) usage {
	out := usage{cpu: map[string]time.Duration{}, allocs: map[string]int64{}, statements: u.statements - before.statements, commands: u.commands - before.commands, wal: u.wal - before.wal}
	for name, t := range u.cpu {
		out.cpu[name] = t - before.cpu[name]
	}
	for name, n := range u.allocs {
		out.allocs[name] = n - before.allocs[name]
	}
	return out
}

// cpuOf is the CPU time of all processes for each of so many messages.
func (u usage) cpuOf(messages int) string {
	total := u.cpu["api"] + u.cpu["worker"] + u.cpu["postgres"] + u.cpu["redis"]
	return fmt.Sprintf("%.0f µs", float64(total.Microseconds())/float64(messages))
}

// meter reads usages.
type meter struct {
	db        *pgx.Conn
	redis     *redis.Client
	processes map[string]*process
	postgres  int // the postmaster's id
	redisPID  int
	counted   bool // pg_stat_statements is there
}

func newMeter(ctx context.Context, conn *pgx.Conn, rdb *redis.Client) (*meter, error) {
	m := &meter{db: conn, redis: rdb}
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, fmt.Errorf("reach PostgreSQL: %w", err)
	}
	stat, err := statOf(backend)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL is not on this machine: %w", err)
	}
	m.postgres = stat.parent
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		return nil, fmt.Errorf("reach Redis: %w", err)
	}
	if m.redisPID, err = strconv.Atoi(info["Server"]["process_id"]); err != nil {
		return nil, fmt.Errorf("read Redis's process id: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err == nil {
		_, err = conn.Exec(ctx, "SELECT count(*) FROM pg_stat_statements")
		m.counted = err == nil
	}
	return m, nil
}

// read is one look at everything.
func (m *meter) read(ctx context.Context) (usage, error) {
	u := usage{cpu: map[string]time.Duration{}, allocs: map[string]int64{}, statements: -1}
	for name, p := range m.processes {
		s, err := statOf(p.pid())
		if err != nil {
			return u, err
		}
		u.cpu[name] = s.cpu
		if p.metrics != "" {
			u.allocs[name] = mallocs(ctx, p.metrics)
		}
	}
	u.cpu["postgres"] = treeCPU(m.postgres)
	if s, err := statOf(m.redisPID); err == nil {
		u.cpu["redis"] = s.cpu
	}
	info, err := m.redis.InfoMap(ctx, "stats").Result()
	if err != nil {
		return u, err
	}
	if u.commands, err = strconv.ParseInt(info["Stats"]["total_commands_processed"], 10, 64); err != nil {
		return u, err
	}
	if m.counted {
		err = m.db.QueryRow(ctx, "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements").Scan(&u.statements)
	}
	if err == nil {
		err = m.db.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&u.wal)
	}
	return u, err
}

// statement is how long a kind of SQL statement took in all.
type statement struct {
	name  string // as its query is called
	calls int64
	time  time.Duration
}

// begin has PostgreSQL count its statements anew and reads.
func (m *meter) begin(ctx context.Context) (usage, error) {
	if m.counted {
		if _, err := m.db.Exec(ctx, "SELECT pg_stat_statements_reset()"); err != nil {
			return usage{}, err
		}
	}
	return m.read(ctx)
}

// slowest returns the statements that took most of PostgreSQL's time.
func (m *meter) slowest(ctx context.Context) ([]statement, error) {
	if !m.counted {
		return nil, nil
	}
	rows, err := m.db.Query(ctx, `
		SELECT COALESCE(substring(query FROM '-- name: (\w+)'), left(query, 60)), calls, total_exec_time + total_plan_time
		FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		ORDER BY 3 DESC LIMIT 10`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s statement, err error) {
		var milliseconds float64
		err = row.Scan(&s.name, &s.calls, &milliseconds)
		s.time = time.Duration(milliseconds * float64(time.Millisecond))
		return s, err
	})
}

// stat is what /proc says of a process.
type stat struct {
	parent int
	cpu    time.Duration // of the process
	waited time.Duration // of its children that ended
}

// tick is the unit of /proc's times; Linux reports all of them in it.
const tick = 10 * time.Millisecond

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
	f := strings.Fields(after)
	if len(f) < 15 {
		return stat{}, fmt.Errorf("process %d: cannot read its times", pid)
	}
	n := func(i int) time.Duration {
		v, _ := strconv.ParseInt(f[i], 10, 64) // the kernel writes numbers
		return time.Duration(v) * tick
	}
	parent, _ := strconv.Atoi(f[1])
	return stat{parent: parent, cpu: n(11) + n(12), waited: n(13) + n(14)}, nil
}

// treeCPU is the time of a process, its living children and those that ended.
func treeCPU(root int) time.Duration {
	s, err := statOf(root)
	if err != nil {
		return 0
	}
	total := s.cpu + s.waited
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range all {
		pid, _ := strconv.Atoi(filepath.Base(path))
		if c, err := statOf(pid); err == nil && c.parent == root {
			total += c.cpu + c.waited
		}
	}
	return total
}

// peakMemory is the most memory that a process ever held, in bytes.
func peakMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// mallocs reads how often a Go process has allocated.
func mallocs(ctx context.Context, metrics string) int64 {
	text, err := get(ctx, metrics)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int64(n)
		}
	}
	return 0
}

var client = http.Client{Timeout: 10 * time.Second} //nolint:gochecknoglobals // a constant in all but syntax
