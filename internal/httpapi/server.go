// Package httpapi is the door for applications and gateways: the public HTTP
// API and the webhooks. It translates and decides nothing.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/coalesce"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/outbox"
)

// Config is what the API needs. All fields are required but the tokens and
// Metrics.
type Config struct {
	Pool         *pgxpool.Pool
	Outbox       *outbox.Outbox
	Inbound      *inbound.Service
	Desk         *outbound.Desk
	History      *history.Reader
	Box          *secret.Box
	Log          *slog.Logger
	Version      string
	MaxBodyBytes int64
	APIToken     secret.Text // a key with every scope; empty: none
	WebhookToken secret.Text // of instances that have none of their own; empty: those get 401
	// AllowPrivateTargets lets gateways live on loopback and private addresses.
	AllowPrivateTargets bool
	// Signed reports whether one of the secrets has signed a webhook of the Cloud API.
	Signed func(body []byte, header string, secrets ...secret.Text) bool
	// RedisPing tells whether Redis answers.
	RedisPing func(context.Context) error
	// Files is where the files of messages are kept.
	Files Opener
	// Stopping, if set, makes /readyz say no once it is closed.
	Stopping <-chan struct{}
	// Metrics, if set, counts requests.
	Metrics prometheus.Registerer
}

type server struct {
	Config
	log       *slog.Logger
	keys      *apikey.Finder
	instances *coalesce.Group[string, *db.Instance] // by name, for webhooks
}

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 30 * time.Second

// New returns the API. Reading it from top to bottom is reading every route
// there is.
func New(c Config) http.Handler {
	useProblems()
	q := db.New(c.Pool)
	s := &server{
		Config: c, log: c.Log, keys: apikey.NewFinder(q, c.APIToken),
		instances: coalesce.Lookup(db.Refused, func(i db.Instance) string { return i.Name }, q.InstancesByName),
	}
	mux := http.NewServeMux()
	api := humago.New(mux, describe(c.Version))
	api.UseMiddleware(s.authenticate(api))

	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages", "send-message", "Accept a message to send", s.sendMessage)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/batch", "send-messages", "Accept up to 1,000 messages to send", s.sendBatch)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/cancel", "cancel-messages", "Cancel everything that a filter matches", s.cancelMessages)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/retry", "retry-messages", "Send again everything that a filter matches", s.retryMessages)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/messages", "list-messages", "List messages, newest first", s.listMessages)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/messages/{id}", "get-message", "A message with its history and attempts", s.getMessage)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/messages/{id}/media", "get-media", "The file of a message that was received", s.getMedia)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/{id}/cancel", "cancel-message", "Cancel a message that is not sent yet", s.cancelMessage)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/{id}/retry", "retry-message", "Send again what failed", s.retryMessage)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/messages/{id}/read", "read-message", "Tell the writer of an inbound message that it was read", s.readMessage)

	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances", "list-instances", "List instances by name", s.listInstances)
	add(s, api, apikey.ScopeManage, http.MethodPut, "/v1/instances/{instance}", "put-instance", "Make or change an instance", s.putInstance)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}", "get-instance", "An instance", s.getInstance)
	add(s, api, apikey.ScopeManage, http.MethodDelete, "/v1/instances/{instance}", "delete-instance", "Delete an instance", s.deleteInstance)
	add(s, api, apikey.ScopeManage, http.MethodPost, "/v1/instances/{instance}/pause", "pause-instance", "Stop sending for an instance", s.pauseInstance)
	add(s, api, apikey.ScopeManage, http.MethodPost, "/v1/instances/{instance}/resume", "resume-instance", "Go on sending for an instance", s.resumeInstance)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}/chats", "list-chats", "Conversations, the one that moved last first", s.listChats)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}/chats/{jid}", "get-chat", "A conversation with its group, labels and presence", s.getChat)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}/calls", "list-calls", "Calls that people made, newest first", s.listCalls)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}/labels", "list-labels", "Labels of the WhatsApp Business app", s.listLabels)
	add(s, api, apikey.ScopeRead, http.MethodGet, "/v1/instances/{instance}/chats/{jid}/messages", "list-chat-messages", "A conversation, newest first", s.listChatMessages)
	add(s, api, apikey.ScopeSend, http.MethodPost, "/v1/instances/{instance}/chats/{jid}/typing", "show-typing", "Show that an answer is being written: best effort, this 202 promises nothing", s.showTyping)

	add(s, api, webhookScope, http.MethodPost, "/webhooks/evolution/{instance}", "evolution-webhook", "An Evolution API event", s.webhookOfInstance)
	add(s, api, webhookScope, http.MethodPost, "/webhooks/evolution/{instance}/{event}", "evolution-webhook-by-event", "An Evolution API event (webhookByEvents)", s.webhookOfEvent)
	add(s, api, webhookScope, http.MethodPost, "/webhook", "webhook", "An Evolution API event whose body names the instance", s.webhookOfAny)

	add(s, api, webhookScope, http.MethodGet, "/webhooks/cloud/{instance}", "verify-cloud-webhook", "Meta asks whether a webhook is ours", s.verifyCloud)
	add(s, api, webhookScope, http.MethodPost, "/webhooks/cloud/{instance}", "cloud-webhook", "An event of the WhatsApp Cloud API", s.cloudWebhook)

	add(s, api, openScope, http.MethodGet, "/livez", "livez", "The process is alive", s.livez)
	add(s, api, openScope, http.MethodGet, "/readyz", "readyz", "Able to accept, with the state of each part", s.readyz)

	mux.Handle("GET /docs", docs())
	mux.Handle("GET /docs/", docs())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusNotFound, "unknown_route", "There is nothing here. GET /docs shows what there is."))
	})
	return s.observe(s.recover(plainURL(mux)))
}

// Scopes of routes that no API key opens.
const (
	openScope    = ""        // anyone
	webhookScope = "webhook" // a gateway with its own token
)

// scopeKey is where an operation keeps the scope it needs.
const scopeKey = "scope"

// add registers one operation.
func add[I, O any](s *server, api huma.API, scope, method, path, id, summary string, h func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		MaxBodyBytes:    s.MaxBodyBytes + 1, // huma refuses a body of exactly this size
		BodyReadTimeout: bodyTimeout, Metadata: map[string]any{scopeKey: scope},
		Errors: []int{http.StatusInternalServerError, http.StatusServiceUnavailable},
	}
	switch scope {
	case openScope:
		op.Tags = []string{"health"}
	case webhookScope:
		op.Tags = []string{"webhooks"}
		op.Security = []map[string][]string{{"webhook": {}}}
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge)
	default:
		op.Tags = []string{tagOf(path)}
		op.Security = []map[string][]string{{"key": {scope}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity)
	}
	switch {
	case id == "send-message" || id == "send-messages" || id == "read-message" || id == "show-typing":
		op.DefaultStatus = http.StatusAccepted
	case method == http.MethodPost:
		op.DefaultStatus = http.StatusOK
	}
	input, raw := reflect.TypeFor[I](), false
	if _, parsed := input.FieldByName("Body"); !parsed {
		_, raw = input.FieldByName("RawBody")
	}
	op.SkipValidateBody = raw // the handler judges it
	if id == "get-media" {
		op.Responses, op.Errors = mediaResponses(), append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusGone)
	}
	huma.Register(api, op, h)
	if raw { // huma takes a raw body for a string
		schema := &huma.Schema{Type: huma.TypeObject}
		if id == "send-messages" {
			schema = huma.SchemaFromType(api.OpenAPI().Components.Schemas, reflect.TypeFor[batchBody]())
		}
		api.OpenAPI().Paths[path].Post.RequestBody.Content["application/json"].Schema = schema
	}
}

// observe logs and counts each request.
func (s *server) observe(next http.Handler) http.Handler {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "msgorch_http_request_duration_seconds", Help: "Time that requests took, by route and status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 2},
	}, []string{"route", "status"})
	if s.Metrics != nil {
		s.Metrics.MustRegister(requests)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		took := time.Since(start)
		route := r.Pattern
		if route == "" {
			route = "none"
		}
		requests.WithLabelValues(route, statusClass(rec.status)).Observe(took.Seconds())
		if s.log.Enabled(r.Context(), slog.LevelDebug) {
			s.log.LogAttrs(r.Context(), slog.LevelDebug, "request.done",
				slog.String("route", route), slog.Int("status", rec.status), slog.Duration("took", took))
		}
	})
}

// recover answers 500 when a handler panics, and says so in the log.
func (s *server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			s.log.LogAttrs(r.Context(), slog.LevelError, "request.panicked",
				slog.String("route", r.Pattern), slog.Any("error", p), slog.String("stack", string(debug.Stack())))
			writeProblem(w, newProblem(http.StatusInternalServerError, "internal", "Something went wrong on our side."))
		}()
		next.ServeHTTP(w, r)
	})
}

// statusRecorder remembers the status that was written.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func statusClass(status int) string {
	return string(rune('0'+status/100)) + "xx"
}
