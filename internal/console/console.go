// Package console is the operator's door: queues in asynqmon, metrics, profiles
// and the log level, on a listener of its own that is not for the public.
package console

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/secret"
)

//go:embed index.html
var index []byte

// Config is what the console needs. All fields are required but Token.
type Config struct {
	Redis   asynq.RedisConnOpt
	Metrics prometheus.Gatherer
	Log     *slog.Logger
	// Token is the password of the user admin, or a bearer token. Empty: who
	// reaches the listener, which is on loopback then, may use it.
	Token secret.Text
	// LogLevel returns the present directives of this process.
	LogLevel func() string
	// SetLogLevel changes those of every process. It fails with a sentence for
	// the caller when they are not valid.
	SetLogLevel func(ctx context.Context, directives string) error
	// Linker connects instances.
	Linker Linker
}

// Console serves the operator. Close it when done.
type Console struct {
	http.Handler
	queues *asynqmon.HTTPHandler
}

// New returns a Console.
func New(c Config) *Console {
	queues := asynqmon.New(asynqmon.Options{
		RootPath:         "/queues",
		RedisConnOpt:     c.Redis,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(func(_ string, payload []byte) string { return mask(payload) }),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index) // the client may be gone
	})
	newInstancePages(c.Linker, c.Log).routes(mux)
	mux.Handle("/queues/", queues)
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) { writeLevel(w, http.StatusOK, c.LogLevel()) })
	mux.HandleFunc("PUT /log-level", c.putLogLevel)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	// asynqmon has no defence of its own against other sites' forms.
	return &Console{Handler: c.guard(http.NewCrossOriginProtection().Handler(mux)), queues: queues}
}

// Close gives back asynqmon's connections to Redis.
func (c *Console) Close() error { return c.queues.Close() }

// guard lets the operator in.
func (c Config) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if c.Token == "" {
			// A name that was pointed at loopback must not lead a browser here.
			if !isLoopback(r.Host) {
				http.Error(w, "Without ADMIN_TOKEN the console answers on loopback names only.", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		user, password, basic := r.BasicAuth()
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if basic && user == "admin" && apikey.Equal(password, c.Token) || bearer && apikey.Equal(token, c.Token) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="MsgOrch", charset="UTF-8"`)
		http.Error(w, "The console needs the user admin and ADMIN_TOKEN as its password.", http.StatusUnauthorized)
	})
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// maxLevelBody is far more than directives need.
const maxLevelBody = 4096

func (c Config) putLogLevel(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Level string `json:"level"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLevelBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || in.Level == "" {
		http.Error(w, `The body must be {"level":"info,worker=debug"}.`, http.StatusBadRequest)
		return
	}
	if err := c.SetLogLevel(r.Context(), in.Level); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	c.Log.LogAttrs(r.Context(), slog.LevelInfo, "log_level.changed", slog.String("directives", in.Level))
	writeLevel(w, http.StatusOK, in.Level)
}

func writeLevel(w http.ResponseWriter, status int, level string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"level": level}) // the client may be gone
}
