package e2e_test

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// servers are a PostgreSQL and a Redis of the test's own, which it may kill. The
// programs reach them through addresses that stay.
type servers struct {
	tb       testing.TB
	dir      string
	postgres *proxy
	redis    *proxy
	database string // URLs through the proxies
	cache    string
}

func startServers(tb testing.TB) *servers {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: needs real servers")
	}
	s := &servers{tb: tb, dir: filepath.Join(tb.TempDir(), "services")}
	tb.Cleanup(func() { s.script("remove", s.dir) })
	s.postgres, s.redis = newProxy(tb, ""), newProxy(tb, "")
	s.start()
	env := s.env()
	s.database, s.cache = through(tb, env["DATABASE_URL"], s.postgres), through(tb, env["REDIS_URL"], s.redis)
	return s
}

// start starts what does not run.
func (s *servers) start() {
	s.tb.Helper()
	s.script("start", "--throwaway", s.dir)
	env := s.env()
	for name, p := range map[string]*proxy{"DATABASE_URL": s.postgres, "REDIS_URL": s.redis} {
		u, err := url.Parse(env[name])
		if err != nil {
			s.tb.Fatal(err)
		}
		p.mu.Lock()
		p.target = u.Host
		p.mu.Unlock()
	}
}

// crashPostgres ends PostgreSQL as pg_ctl stop -m immediate does.
func (s *servers) crashPostgres() { s.end("pg/postmaster.pid", syscall.SIGQUIT, s.postgres) }

func (s *servers) killRedis() { s.end("redis.pid", syscall.SIGKILL, s.redis) }

func (s *servers) end(pidFile string, sig syscall.Signal, p *proxy) {
	s.tb.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "data", pidFile))
	if err != nil {
		s.tb.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.tb.Fatal(err)
	}
	p.point("")
	eventually(s.tb, "the server is gone", func() bool { return syscall.Kill(pid, 0) != nil })
}

func (s *servers) script(args ...string) {
	s.tb.Helper()
	out, err := exec.Command("../../scripts/services", args...).CombinedOutput()
	if err != nil {
		s.tb.Fatalf("scripts/services %v: %v: %s", args, err, out)
	}
}

func (s *servers) env() map[string]string {
	s.tb.Helper()
	f, err := os.Open(filepath.Join(s.dir, "env"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		env[name] = value
	}
	return env
}

func through(tb testing.TB, text string, p *proxy) string {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = p.addr()
	return u.String()
}
