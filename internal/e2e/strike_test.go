package e2e_test

import (
	"context"
	"syscall"
	"time"

	"github.com/google/uuid"
)

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
