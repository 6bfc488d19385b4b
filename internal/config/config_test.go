package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/joho/godotenv"

	"github.com/msgorch/msgorch/internal/config"
)

const (
	databaseURL = "postgres://msgorch:hunter2@127.0.0.1:5432/msgorch"
	exampleFile = "../../.env.example"
	day         = 24 * time.Hour
)

// from returns a getenv for the given variables.
func from(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func defaults() config.Config {
	return config.Config{
		AppName:     "msgorch",
		DatabaseURL: databaseURL,
		Redis:       asynq.RedisClientOpt{Addr: "127.0.0.1:6379"},
		ListenHost:  "127.0.0.1",
		ListenPort:  3001,
		AdminAddr:   "127.0.0.1:3002",
		WorkerAddr:  "127.0.0.1:3003",
		SandboxAddr: "127.0.0.1:3010",
		LogLevel:    "info",
		LogFormat:   "auto",
		Queues: map[string]int{
			"critical": 6, "inbound": 4, "default": 3, "events": 3, "agents": 2, "bulk": 1, "maintenance": 1,
		},
		Concurrency:   64,
		WorkerServers: 1,
		MaxBodyBytes:  16 << 20,
		ShutdownWait:  25 * time.Second,
		MediaStore:    "file:///var/lib/msgorch/media",
		MaxMediaBytes: 100 << 20,
		Retention:     map[string]time.Duration{"messages": 0, "events": 30 * day, "quarantined": 0, "evidence": 7 * day},

		AckPatience:    10 * time.Minute,
		ReconcileEvery: 15 * time.Minute,
		ReconcileGrace: 2 * time.Minute,
		ReconcileDepth: day,
	}
}

func TestDatabaseURLIsAllThatMustBeSet(t *testing.T) {
	t.Parallel()

	got, err := config.Load(from(map[string]string{"DATABASE_URL": databaseURL}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestEveryVariableReachesItsField(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, 32)
	env := map[string]string{
		"APP_NAME":                    "shop",
		"DATABASE_URL":                "postgresql://a:5432,b:5433/shop?target_session_attrs=read-write",
		"REDIS_URL":                   "redis://redis.internal/2",
		"LISTEN_HOST":                 "::1",
		"LISTEN_PORT":                 "0",
		"ADMIN_ADDR":                  ":3002",
		"WORKER_ADDR":                 "[::]:0",
		"SANDBOX_ADDR":                "sandbox_1:4000",
		"API_TOKEN":                   " api-token-0123456789\n",
		"ADMIN_TOKEN":                 "admin-token-0123456789",
		"WEBHOOK_TOKEN":               "webhook-token-0123456789",
		"EVOLUTION_BASE_URL":          "https://evolution.example/api/",
		"EVOLUTION_API_KEY":           "evolution-key",
		"SECRET_KEY":                  base64.StdEncoding.EncodeToString(key),
		"LOG_LEVEL":                   "info,worker=debug",
		"LOG_FORMAT":                  "json",
		"QUEUES":                      "critical=100, bulk=1",
		"CONCURRENCY":                 "10000",
		"WORKER_SERVERS":              "64",
		"MAX_BODY_BYTES":              "1024",
		"ALLOW_PRIVATE_TARGETS":       "true",
		"SHUTDOWN_WAIT":               "10m",
		"MEDIA_STORE":                 "s3://files/of/ours?endpoint=https://s3.example",
		"MAX_MEDIA_BYTES":             "2048",
		"AWS_ACCESS_KEY_ID":           "key",
		"AWS_SECRET_ACCESS_KEY":       "secret",
		"AWS_SESSION_TOKEN":           "session",
		"AWS_REGION":                  "us-east-1",
		"RETENTION_DAYS":              "messages=365, events=0",
		"ACK_PATIENCE":                "0",
		"RECONCILE_EVERY":             "1h",
		"RECONCILE_GRACE":             "30s",
		"RECONCILE_DEPTH":             "72h",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
	}
	want := config.Config{
		AppName:             "shop",
		DatabaseURL:         env["DATABASE_URL"],
		Redis:               asynq.RedisClientOpt{Addr: "redis.internal:6379", DB: 2},
		ListenHost:          "::1",
		AdminAddr:           ":3002",
		WorkerAddr:          "[::]:0",
		SandboxAddr:         "sandbox_1:4000",
		APIToken:            "api-token-0123456789",
		AdminToken:          "admin-token-0123456789",
		WebhookToken:        "webhook-token-0123456789",
		EvolutionBaseURL:    "https://evolution.example/api",
		EvolutionAPIKey:     "evolution-key",
		SecretKey:           key,
		LogLevel:            "info,worker=debug",
		LogFormat:           "json",
		Queues:              map[string]int{"critical": 100, "bulk": 1},
		Concurrency:         10000,
		WorkerServers:       64,
		MaxBodyBytes:        1024,
		AllowPrivateTargets: true,
		ShutdownWait:        10 * time.Minute,
		MediaStore:          "s3://files/of/ours?endpoint=https://s3.example",
		MaxMediaBytes:       2048,
		AWS:                 config.AWS{AccessKeyID: "key", SecretAccessKey: "secret", SessionToken: "session", Region: "us-east-1"},
		Retention:           map[string]time.Duration{"messages": 365 * day, "events": 0, "quarantined": 0, "evidence": 7 * day},
		ReconcileEvery:      time.Hour,
		ReconcileGrace:      30 * time.Second,
		ReconcileDepth:      3 * day,
		OTLPEndpoint:        "http://collector:4318",
	}

	got, err := config.Load(from(env))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// Each value is wrong and contains "hunter2" where it can.
func TestMistakeIsOneLineWithNameReasonAndExampleButNoValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"DATABASE_URL", "", "is not set"},
		{"DATABASE_URL", "   ", "is not set"},
		{"DATABASE_URL", "host=localhost password=hunter2", "not a valid URL"},
		{"DATABASE_URL", "mysql://u:hunter2@h/db", "postgres://"},
		{"DATABASE_URL", "postgres://u:hunter2%zz@h/db", "%XX"},
		{"DATABASE_URL", "postgres://u:hunter2#x@h/db", "%XX"},
		{"DATABASE_URL", "postgres:hunter2", "not a valid URL"},
		{"DATABASE_URL", "postgres://u:hunter2@h/db\nx", "not a valid URL"},
		{"REDIS_URL", "hunter2", "not a valid URL"},
		{"REDIS_URL", "http://:hunter2@h", "redis-cluster://"},
		{"REDIS_URL", "redis://:hunter2@", "host:port"},
		{"REDIS_URL", "redis://:hunter2@h:0", "host:port"},
		{"REDIS_URL", "redis://:hunter2@h:99999", "host:port"},
		{"REDIS_URL", "redis://hunter2@h", ":password@"},
		{"REDIS_URL", "redis://:hunter2@h/one", "database number"},
		{"REDIS_URL", "redis://:hunter2@h/-1", "database number"},
		{"REDIS_URL", "redis://:hunter2@a,b", "host:port"},
		{"REDIS_URL", "redis-sentinel://:hunter2@a:1,b:2", "master"},
		{"REDIS_URL", "redis-sentinel://:hunter2@a:1,,b:2?master=m", "host:port"},
		{"REDIS_URL", "redis-cluster://:hunter2@", "host:port"},
		{"REDIS_URL", "redis-cluster://:hunter2@a:1,b:x", "not a valid URL"},
		{"REDIS_URL", "redis-cluster://:hunter2@a:1,b:2/3", "database"},
		{"LISTEN_HOST", "0.0.0.0:3001", "without port"},
		{"LISTEN_HOST", "[::1]", "without port"},
		{"LISTEN_PORT", "hunter2", "0 to 65535"},
		{"LISTEN_PORT", "65536", "0 to 65535"},
		{"LISTEN_PORT", "-1", "0 to 65535"},
		{"ADMIN_ADDR", "hunter2", "host:port"},
		{"ADMIN_ADDR", "::1:3002", "host:port"},
		{"WORKER_ADDR", "127.0.0.1:port", "host:port"},
		{"WORKER_ADDR", "127.0.0.1:70000", "host:port"},
		{"SANDBOX_ADDR", "hunter2@host:1", "host:port"},
		{"API_TOKEN", "hunter2hunter2", "at least 16 characters"},
		{"ADMIN_TOKEN", "hunter2", "at least 16 characters"},
		{"WEBHOOK_TOKEN", "hunter2", "at least 16 characters"},
		{"EVOLUTION_BASE_URL", "hunter2", "not a valid URL"},
		{"EVOLUTION_BASE_URL", "ftp://hunter2", "http://"},
		{"EVOLUTION_BASE_URL", "http://:8080", "host"},
		{"EVOLUTION_BASE_URL", "http://u:hunter2@h", "user or password"},
		{"EVOLUTION_BASE_URL", "http://h/?apikey=hunter2", "query"},
		{"SECRET_KEY", "hunter2", "32 bytes in base64"},
		{"SECRET_KEY", base64.StdEncoding.EncodeToString(make([]byte, 31)), "32 bytes in base64"},
		{"SECRET_KEY", base64.StdEncoding.EncodeToString(make([]byte, 33)), "32 bytes in base64"},
		{"LOG_FORMAT", "hunter2", "auto, tint, json"},
		{"QUEUES", "hunter2=1", "does not exist"},
		{"QUEUES", "critical", "1 to 100"},
		{"QUEUES", "critical=0", "1 to 100"},
		{"QUEUES", "critical=101", "1 to 100"},
		{"QUEUES", "critical=hunter2", "1 to 100"},
		{"QUEUES", "bulk=1,bulk=2", "twice"},
		{"QUEUES", "bulk=1,", "does not exist"},
		{"CONCURRENCY", "0", "1 to 10000"},
		{"CONCURRENCY", "10001", "1 to 10000"},
		{"WORKER_SERVERS", "65", "1 to 64"},
		{"MAX_BODY_BYTES", "16MiB", "1024 to"},
		{"MAX_BODY_BYTES", "1023", "1024 to"},
		{"ALLOW_PRIVATE_TARGETS", "hunter2", "true or false"},
		{"SHUTDOWN_WAIT", "25", "1s to 10m"},
		{"SHUTDOWN_WAIT", "999ms", "1s to 10m"},
		{"SHUTDOWN_WAIT", "11m", "1s to 10m"},
		{"ACK_PATIENCE", "10", "0s to 24h"},
		{"RECONCILE_EVERY", "-1s", "0s to 24h"},
		{"RECONCILE_GRACE", "2h", "0s to 1h"},
		{"RECONCILE_DEPTH", "0", "1m0s to 8760h"},
		{"RETENTION_DAYS", "hunter2=1", "does not exist"},
		{"RETENTION_DAYS", "messages", "0 (for ever) to 36500"},
		{"RETENTION_DAYS", "messages=-1", "0 (for ever) to 36500"},
		{"RETENTION_DAYS", "events=1,events=2", "twice"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "not a valid URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"DATABASE_URL": databaseURL}
			env[tt.name] = tt.value

			_, err := config.Load(from(env))
			if err == nil {
				t.Fatal("Load accepted it")
			}
			got := err.Error()
			if !strings.HasPrefix(got, tt.name+": ") || !strings.Contains(got, tt.want) ||
				!strings.Contains(got, "example: "+tt.name+"=") {
				t.Errorf("error %q does not name %s, %q and an example", got, tt.name, tt.want)
			}
			if strings.Contains(got, "\n") || strings.Contains(got, "hunter2") {
				t.Errorf("error %q has a second line or the value", got)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()

	got, err := config.Load(from(map[string]string{"LISTEN_PORT": "x", "CONCURRENCY": "x", "API_TOKEN": "short"}))
	if err == nil {
		t.Fatal("Load accepted them")
	}
	var names []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	want := []string{"DATABASE_URL", "LISTEN_PORT", "API_TOKEN", "CONCURRENCY"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names in %q (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(config.Config{}, got); diff != "" {
		t.Errorf("a wrong environment gives a Config (-want +got):\n%s", diff)
	}
}

func TestProgramsRequireWhatTheyNeed(t *testing.T) {
	t.Parallel()

	if _, err := config.LoadFor(from(nil)); err != nil {
		t.Errorf("nothing required: %v", err)
	}
	_, err := config.LoadFor(from(nil), "SECRET_KEY", "EVOLUTION_BASE_URL", "REDIS_URL")
	if err == nil {
		t.Fatal("required variables may be missing")
	}
	want := "EVOLUTION_BASE_URL: is not set, example: EVOLUTION_BASE_URL=http://127.0.0.1:8080\n" +
		"SECRET_KEY: is not set, example: SECRET_KEY=$(openssl rand -base64 32)"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if _, err := config.LoadFor(from(map[string]string{"DATABASE_URL": "x"})); err == nil {
		t.Error("a malformed variable passes because it is not required")
	}
}

func TestOperatorListenerOutsideLoopbackNeedsAPassword(t *testing.T) {
	t.Parallel()
	tests := []struct {
		addr, token string
		want        bool
	}{
		{addr: "127.0.0.1:3002", want: true},
		{addr: "127.9.9.9:0", want: true},
		{addr: "[::1]:3002", want: true},
		{addr: "localhost:3002", want: true},
		{addr: ":3002"},
		{addr: "0.0.0.0:3002"},
		{addr: "[::]:3002"},
		{addr: "10.0.0.1:3002"},
		{addr: "localhost.example.com:3002"},
		{addr: "0.0.0.0:3002", token: "0123456789abcdef", want: true},
	}
	for _, tt := range tests {
		t.Run(tt.addr+" "+tt.token, func(t *testing.T) {
			t.Parallel()

			_, err := config.LoadFor(from(map[string]string{"ADMIN_ADDR": tt.addr, "ADMIN_TOKEN": tt.token}))

			if got := err == nil; got != tt.want {
				t.Fatalf("accepted = %v (%v), want %v", got, err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), "ADMIN_TOKEN") || !strings.Contains(err.Error(), "ADMIN_ADDR")) {
				t.Errorf("error %q does not name both variables", err)
			}
		})
	}
}

func TestConfigDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	c, err := config.Load(from(map[string]string{"DATABASE_URL": databaseURL, "REDIS_URL": "redis://:hunter2@h"}))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %v", c, c, c, c, &c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("config.loaded", "config", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("config.loaded", "config", &c)
	text, err := json.Marshal(struct{ C config.Config }{c})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)

	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("printed: %s", &out)
	}
}

func TestExampleFileNamesExactlyWhatLoadReads(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	_, _ = config.Load(func(name string) string { // mistakes do not matter here
		read[name] = true
		return ""
	})
	example, err := godotenv.Read(exampleFile)
	if err != nil {
		t.Fatal(err)
	}

	want, got := slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(example))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names in .env.example (-read by Load +in the file):\n%s", diff)
	}
}

func TestExampleFileShowsTheDefaults(t *testing.T) {
	t.Parallel()
	example, err := godotenv.Read(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	example["DATABASE_URL"] = databaseURL

	got, err := config.Load(from(example))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Errorf("configuration by .env.example (-want +got):\n%s", diff)
	}
}

func TestEveryVariableOfTheExampleFileHasAComment(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	above := ""
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "=") && line[0] != '#' && !strings.HasPrefix(above, "# ") {
			t.Errorf("no comment above %q", line)
		}
		above = line
	}
}
