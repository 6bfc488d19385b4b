package config_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/config"
)

func TestRedisURLForms(t *testing.T) {
	t.Parallel()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	tests := []struct {
		url  string
		want asynq.RedisConnOpt
	}{
		{"redis://h:6380", asynq.RedisClientOpt{Addr: "h:6380"}},
		{"redis://h/3", asynq.RedisClientOpt{Addr: "h:6379", DB: 3}},
		{"redis://[::1]", asynq.RedisClientOpt{Addr: "[::1]:6379"}},
		{"redis://[::1]:1/", asynq.RedisClientOpt{Addr: "[::1]:1"}},
		{"redis://:p%40ss@h", asynq.RedisClientOpt{Addr: "h:6379", Password: "p@ss"}},
		{"redis://user:pass@h", asynq.RedisClientOpt{Addr: "h:6379", Username: "user", Password: "pass"}},
		{"rediss://:pass@h:1", asynq.RedisClientOpt{Addr: "h:1", Password: "pass", TLSConfig: secure}},
		{
			"redis-sentinel://a:1,b:2?master=m",
			asynq.RedisFailoverClientOpt{MasterName: "m", SentinelAddrs: []string{"a:1", "b:2"}},
		},
		{
			"rediss-sentinel://su:sp@a/4?master=m&username=u&password=p",
			asynq.RedisFailoverClientOpt{
				MasterName: "m", SentinelAddrs: []string{"a:26379"},
				SentinelUsername: "su", SentinelPassword: "sp", Username: "u", Password: "p",
				DB: 4, TLSConfig: secure,
			},
		},
		{"redis-cluster://a:1,b,c:3", asynq.RedisClusterClientOpt{Addrs: []string{"a:1", "b:6379", "c:3"}}},
		{
			"redis-cluster://:pass@[::1]:1/0",
			asynq.RedisClusterClientOpt{Addrs: []string{"[::1]:1"}, Password: "pass"},
		},
		{
			"rediss-cluster://user:pass@a:1",
			asynq.RedisClusterClientOpt{Addrs: []string{"a:1"}, Username: "user", Password: "pass", TLSConfig: secure},
		},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()

			c, err := config.LoadFor(from(map[string]string{"REDIS_URL": tt.url}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Redis, cmpopts.IgnoreUnexported(tls.Config{})); diff != "" {
				t.Errorf("Redis (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRedisClusterURL(f *testing.F) {
	for _, rest := range []string{
		"a:1,b:2", ":hunter2@a", "u:hunter2@[::1]:1,[::2]", "", ",", ":", "@", "[", "a:1/0", "a:1/1", "%", "hunter2@a", ":hunter2/x@a:1",
	} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		c, err := config.LoadFor(from(map[string]string{"REDIS_URL": "redis-cluster://" + rest}))
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q quotes the value or has a second line", err)
			}
			return
		}
		opt, ok := c.Redis.(asynq.RedisClusterClientOpt)
		if !ok || len(opt.Addrs) == 0 {
			t.Fatalf("Redis = %#v, want a cluster with servers", c.Redis)
		}
		for _, addr := range opt.Addrs {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
				t.Errorf("server %q of %q is not host:port", addr, rest)
			}
		}
	})
}
