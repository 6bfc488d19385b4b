package main

import (
	"bufio"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/config"
)

// checkRedis looks at Redis: asynq's tasks must neither be evicted nor be lost
// in a restart. (PostgreSQL has the messages, so even then they are only late.)
func (d *doctor) checkRedis(ctx context.Context, cfg config.Config) {
	const part = "Redis"
	if cfg.Redis == nil {
		d.fail(part, "mend REDIS_URL", "not checked")
		return
	}
	client, ok := cfg.Redis.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		d.fail(part, "mend REDIS_URL", "this kind of Redis is unknown")
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	started := time.Now()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		d.fail(part, "start it, or mend REDIS_URL", "%v", err)
		return
	}
	version := infoField(info, "redis_version")
	if older(version, oldestRedis) {
		d.fail(part, "upgrade it to "+oldestRedis+" or later", "version %s is too old", version)
		return
	}
	d.ok(part, "version %s, answers in %v", version, time.Since(started).Round(time.Millisecond))
	d.checkRedisSetting(ctx, client, "appendonly", "yes", "tasks since the last snapshot are lost when it restarts, and come back from PostgreSQL only later")
	d.checkRedisSetting(ctx, client, "maxmemory-policy", "noeviction", "tasks are thrown away when its memory is full")
}

func (d *doctor) checkRedisSetting(ctx context.Context, client redis.UniversalClient, name, want, otherwise string) {
	part := "Redis " + name
	got, err := client.ConfigGet(ctx, name).Result()
	if err != nil || len(got) == 0 { // managed servers do not tell
		d.warn(part, "make sure that it is "+want, "cannot be read here")
		return
	}
	if got[name] != want {
		d.warn(part, "redis-cli config set "+name+" "+want+", and in its configuration file", "is %s: %s", got[name], otherwise)
		return
	}
	d.ok(part, "%s", want)
}

// infoField returns a field of what INFO says.
func infoField(info, name string) string {
	lines := bufio.NewScanner(strings.NewReader(info))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return v
		}
	}
	return ""
}

// older compares versions such as 6.2.14 number by number. What is no number
// counts as 0.
func older(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i := range w {
		var a int
		if i < len(h) {
			a, _ = strconv.Atoi(h[i])
		}
		b, _ := strconv.Atoi(w[i])
		if a != b {
			return a < b
		}
	}
	return false
}
