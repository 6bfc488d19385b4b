// Package sandbox is a fake Evolution API server: a WhatsApp made of memory,
// for demos, tests, benchmarks and fault drills. It takes sends, answers them
// as Evolution does, reports their way to the reader by webhook, lets people
// write to us, and goes wrong on request. Below /graph it is also Meta's Cloud
// API, with the same faults and in the same log.
//
// Its log is exact: every send it was asked for is in it once, in the order of
// arrival, with whether the message really went out.
package sandbox

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/msgorch/msgorch/internal/secret"
)

// Options configure a Server. The zero value works: it sends no webhooks and
// asks for no key.
type Options struct {
	WebhookURL   string      // base such as http://127.0.0.1:3001/webhooks/evolution; /{instance} is appended; empty: no webhooks
	WebhookToken secret.Text // sent to WebhookURL as Authorization: Bearer; empty: no such header
	APIKey       secret.Text // what the gateway calls must carry in the apikey header, else 401; empty: anything goes
	Version      string      // what it says it is; default 2.3.7
	ServerURL    string      // the server_url of webhooks; default http://127.0.0.1:3010

	Log    *slog.Logger // default: silent
	Client *http.Client // for webhooks; default: one with a timeout of 30 s that follows no redirects
	Seed   int64        // of the fault dice; 0: random

	MaxLog          int           // entries each log keeps, and webhooks that may wait; default 1,000,000
	WebhookWorkers  int           // webhooks in flight at a time; default 64
	WebhookAttempts int           // tries of one webhook; default 10
	WebhookBackoff  time.Duration // wait after the first failed try, doubled each time up to 5 min; default 500 ms
	WebhookFirst    time.Duration // longest wait of an answer for the webhook that is to come before it; default 500 ms
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.ServerURL = cmp.Or(o.ServerURL, "http://127.0.0.1:3010")
	o.Version = cmp.Or(o.Version, "2.3.7")
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Seed = cmp.Or(o.Seed, rand.Int64())
	o.MaxLog = cmp.Or(o.MaxLog, 1_000_000)
	o.WebhookWorkers = cmp.Or(o.WebhookWorkers, 64)
	o.WebhookAttempts = cmp.Or(o.WebhookAttempts, 10)
	o.WebhookBackoff = cmp.Or(o.WebhookBackoff, 500*time.Millisecond)
	o.WebhookFirst = cmp.Or(o.WebhookFirst, 500*time.Millisecond)
	return o
}

// Server is the fake gateway, an http.Handler that may be used concurrently.
// Close it when done.
type Server struct {
	opts      Options
	mux       *http.ServeMux
	ids       ids
	dice      *dice
	faults    atomic.Pointer[Faults]
	instances instances
	sent      logbook[*sent]
	received  logbook[*message]
	signs     logbook[*Sign]
	files     shelf
	cloud     cloudState

	fallback atomic.Pointer[hook] // where webhooks of an instance without its own go; nil: nowhere
	client   *http.Client
	queue    *queue
	counts   webhookCounts

	closing   <-chan struct{} // closed once Close begins, so that hanging answers end
	close     context.CancelFunc
	closeOnce sync.Once
}

// New returns a Server whose webhook goroutines are running.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{opts: o, dice: newDice(o.Seed), client: o.Client}
	s.ids.prefix = rand.Uint32()
	s.sent.max, s.received.max, s.signs.max = o.MaxLog, o.MaxLog, o.MaxLog
	s.cloud.marks.max = o.MaxLog
	s.faults.Store(new(DefaultFaults()))
	s.SetWebhook(o.WebhookURL, o.WebhookToken)
	if s.client == nil {
		s.client = newClient(o.WebhookWorkers)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.closing, s.close = ctx.Done(), cancel
	s.queue = newQueue(ctx, o.WebhookWorkers, o.MaxLog, s.deliver)
	s.mux = s.routes()
	s.addDemoNumber()
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends hanging answers and webhooks under way, forgets the webhooks that
// wait, as a gateway does when it stops, and returns once no goroutine is left.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.close()
		s.queue.wait()
		if s.opts.Client == nil { // the caller's own client is the caller's to close
			s.client.CloseIdleConnections()
		}
	})
}

// routes is everything the sandbox answers, one line each.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()

	// What Evolution API speaks.
	mux.HandleFunc("POST /message/sendText/{instance}", s.sendText)
	mux.HandleFunc("POST /message/{kind}/{instance}", s.sendKind)
	mux.HandleFunc("POST /chat/getBase64FromMediaMessage/{instance}", s.guarded(s.giveFile))
	mux.HandleFunc("POST /chat/markMessageAsRead/{instance}", s.guarded(s.markRead))
	mux.HandleFunc("POST /chat/sendPresence/{instance}", s.guarded(s.sendPresence))
	mux.HandleFunc("POST /chat/findMessages/{instance}", s.guarded(s.findMessages))
	mux.HandleFunc("GET /instance/connectionState/{instance}", s.guarded(s.connectionState))
	mux.HandleFunc("GET /instance/fetchInstances", s.fetchInstances)
	mux.HandleFunc("POST /instance/create", s.createInstance)
	mux.HandleFunc("GET /instance/connect/{instance}", s.guarded(s.connect))
	mux.HandleFunc("POST /webhook/set/{instance}", s.guarded(s.setHook))
	mux.HandleFunc("GET /webhook/find/{instance}", s.guarded(s.findHook))
	mux.HandleFunc("POST /settings/set/{instance}", s.guarded(s.setSettings))
	mux.HandleFunc("GET /settings/find/{instance}", s.guarded(s.findSettings))
	mux.HandleFunc("GET /{$}", s.hello)
	mux.HandleFunc("/", unknownRoute)

	// What makes it a sandbox.
	mux.HandleFunc("GET /sandbox/{$}", s.page)
	mux.HandleFunc("POST /sandbox/inbound", s.inbound)
	mux.HandleFunc("POST /sandbox/session", s.act)
	mux.HandleFunc("GET /sandbox/sent", s.listSent)
	mux.HandleFunc("DELETE /sandbox/sent", s.clearSent)
	mux.HandleFunc("GET /sandbox/received", s.listReceived)
	mux.HandleFunc("DELETE /sandbox/received", s.clearReceived)
	mux.HandleFunc("GET /sandbox/signs", s.listSigns)
	mux.HandleFunc("GET /sandbox/faults", s.showFaults)
	mux.HandleFunc("PUT /sandbox/faults", s.putFaults)
	mux.HandleFunc("DELETE /sandbox/faults", s.resetFaults)
	mux.HandleFunc("GET /sandbox/limits", s.listLimits)
	mux.HandleFunc("PUT /sandbox/limits", s.putLimit)
	mux.HandleFunc("GET /sandbox/webhooks", s.showWebhooks)
	mux.HandleFunc("POST /sandbox/restart", s.restart)
	mux.HandleFunc("GET /livez", live)
	s.graphRoutes(mux)
	return mux
}

func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
