// Package config turns environment variables into a Config. Every variable is
// one line of LoadFor; .env.example shows them all.
package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/secret"
)

// Config is what the programs are told from outside. It holds secrets, so
// printing or logging it shows "***".
type Config struct {
	AppName     string             // name in logs and traces
	DatabaseURL string             // PostgreSQL; empty only if LoadFor did not require it
	Redis       asynq.RedisConnOpt // a single server, sentinels or a cluster; never nil

	ListenHost  string // of the public listener: a name or address; IPv6 without brackets
	ListenPort  int    // 0 picks a free one; join with net.JoinHostPort
	AdminAddr   string // host:port of the operator listener; an empty host is every interface
	WorkerAddr  string // host:port of a worker's health and metrics
	SandboxAddr string // host:port of the sandbox gateway

	APIToken     secret.Text // an API key with every scope; empty: none
	AdminToken   secret.Text // never empty if AdminAddr is not loopback
	PublicURL    string      // where gateways reach the API, no trailing slash; empty: the operator says it
	WebhookToken secret.Text // of gateways whose instance has none; empty: they get 401

	EvolutionBaseURL string      // without trailing slash; may be empty
	EvolutionAPIKey  secret.Text // may be empty
	SecretKey        []byte      // 32 bytes for secret.NewBox; nil: none

	LogLevel  string // directives, which package logging checks
	LogFormat string // auto, tint or json

	Queues        map[string]int // weight of each queue that this worker serves; never empty
	Concurrency   int            // tasks at a time per asynq server
	WorkerServers int            // asynq servers per process

	MaxBodyBytes        int64         // largest request body
	AllowPrivateTargets bool          // gateways and endpoints may be on loopback and private addresses
	ShutdownWait        time.Duration // how long work may go on after a stop signal

	MediaStore    string // a path, file:///path or s3://bucket/prefix?…, which package media checks; never empty
	MaxMediaBytes int64  // largest file that is fetched, in either direction
	AWS           AWS    // how to get into a store that speaks S3

	Retention map[string]time.Duration // how long messages, events, quarantined events and evidence are kept; 0: for ever

	AckPatience    time.Duration // after which a message without a report is overdue; 0: never
	ReconcileEvery time.Duration // between two comparisons of an instance with its gateway's records; 0: none
	ReconcileGrace time.Duration // how long a webhook may be on its way before its message counts as missing
	ReconcileDepth time.Duration // how far the first comparison looks back; what is older counts as history

	OTLPEndpoint string // base URL, no trailing slash; traces go to /v1/traces below it; empty: tracing is off
}

// AWS is what Amazon's own programs read. Without a key the machine's role counts.
type AWS struct {
	AccessKeyID     string
	SecretAccessKey secret.Text
	SessionToken    secret.Text
	Region          string
}

// Load reads what a server needs. DATABASE_URL must be set.
func Load(getenv func(string) string) (Config, error) {
	return LoadFor(getenv, "DATABASE_URL")
}

// LoadFor is Load for a program that must be told other things: required names
// the variables that must be set. The sandbox requires none; a program that
// stores credentials adds SECRET_KEY. Variables that are set must be right in
// any case.
//
// White space around a value is dropped, and an empty variable is an unset one.
// The error joins all mistakes, one line each: the variable, what is wrong, an
// example. It quotes no value, as any of them may be a secret.
func LoadFor(getenv func(string) string, required ...string) (Config, error) {
	r := reader{getenv: getenv, required: required}
	c := Config{
		AppName:             r.text("APP_NAME", "msgorch"),
		DatabaseURL:         r.database("DATABASE_URL"),
		Redis:               r.redis("REDIS_URL", "redis://127.0.0.1:6379"),
		ListenHost:          r.host("LISTEN_HOST", "127.0.0.1"),
		ListenPort:          r.number("LISTEN_PORT", "3001", 0, math.MaxUint16),
		AdminAddr:           r.address("ADMIN_ADDR", "127.0.0.1:3002"),
		WorkerAddr:          r.address("WORKER_ADDR", "127.0.0.1:3003"),
		SandboxAddr:         r.address("SANDBOX_ADDR", "127.0.0.1:3010"),
		APIToken:            r.token("API_TOKEN"),
		AdminToken:          r.token("ADMIN_TOKEN"),
		WebhookToken:        r.token("WEBHOOK_TOKEN"),
		PublicURL:           r.baseURL("PUBLIC_URL", "https://msgorch.example"),
		EvolutionBaseURL:    r.baseURL("EVOLUTION_BASE_URL", "http://127.0.0.1:8080"),
		EvolutionAPIKey:     secret.Text(r.text("EVOLUTION_API_KEY", "")),
		SecretKey:           r.key("SECRET_KEY"),
		LogLevel:            r.text("LOG_LEVEL", "info"),
		LogFormat:           r.choice("LOG_FORMAT", "auto", "tint", "json"),
		Queues:              r.weights("QUEUES", "critical=6,inbound=4,default=3,events=3,agents=2,bulk=1,maintenance=1"),
		Concurrency:         r.number("CONCURRENCY", "64", 1, 10_000),
		WorkerServers:       r.number("WORKER_SERVERS", "1", 1, 64),
		MaxBodyBytes:        int64(r.number("MAX_BODY_BYTES", "16777216", 1024, 1<<30)), // PostgreSQL's bytea ends at 1 GiB
		AllowPrivateTargets: r.boolean("ALLOW_PRIVATE_TARGETS", "false"),
		ShutdownWait:        r.duration("SHUTDOWN_WAIT", "25s", time.Second, 10*time.Minute),
		MediaStore:          r.text("MEDIA_STORE", "file:///var/lib/msgorch/media"),
		MaxMediaBytes:       int64(r.number("MAX_MEDIA_BYTES", "104857600", 1024, 1<<32)),
		AWS: AWS{
			AccessKeyID: r.text("AWS_ACCESS_KEY_ID", ""), SecretAccessKey: secret.Text(r.text("AWS_SECRET_ACCESS_KEY", "")),
			SessionToken: secret.Text(r.text("AWS_SESSION_TOKEN", "")), Region: r.text("AWS_REGION", ""),
		},
		Retention:      r.days("RETENTION_DAYS", "messages=0,events=30,quarantined=0,evidence=7"),
		AckPatience:    r.duration("ACK_PATIENCE", "10m", 0, 24*time.Hour),
		ReconcileEvery: r.duration("RECONCILE_EVERY", "15m", 0, 24*time.Hour),
		ReconcileGrace: r.duration("RECONCILE_GRACE", "2m", 0, time.Hour),
		ReconcileDepth: r.duration("RECONCILE_DEPTH", "24h", time.Minute, 365*24*time.Hour),
		OTLPEndpoint:   r.baseURL("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
	}
	if c.AdminAddr != "" && !loopback(c.AdminAddr) && r.value("ADMIN_TOKEN", "") == "" {
		r.fail("ADMIN_TOKEN", "must be set when ADMIN_ADDR is not loopback", "$(openssl rand -base64 32)")
	}
	if len(r.mistakes) > 0 {
		return Config{}, errors.Join(r.mistakes...)
	}
	return c, nil
}

// Format implements fmt.Formatter for every verb.
func (Config) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "***") }

// LogValue implements slog.LogValuer.
func (Config) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalJSON implements json.Marshaler.
func (Config) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }
