// Command peers does MsgOrch's work with two other queues, so that MsgOrch's
// numbers have something to stand beside: asynq alone, without a database, and
// River, which keeps its queue in PostgreSQL. It is a module of its own, so that
// MsgOrch does not depend on what it is compared with.
//
// Its one argument is a role: asynq-api, asynq-worker, river-api or river-worker.
// An api takes messages over HTTP and queues them; a worker sends what is queued
// to a gateway. The settings of each queue, in asynq.go and river.go, are those
// that its own project advises for throughput.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const (
	// sendTimeout is what one try to send a message gets, with either queue.
	sendTimeout = 30 * time.Second
	// patience is what the requests, and then the sends, in hand at the signal to
	// stop get to finish.
	patience = 10 * time.Second
	// callers is how many requests an api must be able to queue at once.
	callers = 64

	maxBodyBytes = 1 << 20
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run plays one role until ctx ends. It listens last: who gets an answer from
// /livez knows that the role does its work.
func run(ctx context.Context, args []string, getenv func(string) string) error {
	if len(args) != 1 {
		return errors.New("usage: peers asynq-api|asynq-worker|river-api|river-worker")
	}
	cfg, err := load(getenv)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", writeMetrics)
	stop, err := start(ctx, args[0], cfg, mux)
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, cfg.addr, mux), stop())
}

// start starts a role, which adds its routes to mux. The returned function waits
// for the work in hand and ends the role.
func start(ctx context.Context, role string, cfg config, mux *http.ServeMux) (stop func() error, err error) {
	switch role {
	case "asynq-api":
		return startAsynqAPI(ctx, cfg, mux)
	case "asynq-worker":
		return startAsynqWorker(ctx, cfg)
	case "river-api":
		return startRiverAPI(ctx, cfg, mux)
	case "river-worker":
		return startRiverWorker(ctx, cfg)
	}
	return nil, fmt.Errorf("no role is called %q", role)
}

// config is the environment; nothing but load reads it.
type config struct {
	addr        string // host:port to listen on
	redisURL    string
	databaseURL string
	gatewayURL  string // without a slash at the end
	concurrency int    // messages that a worker sends at once
}

func load(getenv func(string) string) (config, error) {
	cfg := config{
		addr:        getenv("ADDR"),
		redisURL:    getenv("REDIS_URL"),
		databaseURL: getenv("DATABASE_URL"),
		gatewayURL:  strings.TrimSuffix(getenv("GATEWAY_URL"), "/"),
		concurrency: 64,
	}
	if cfg.addr == "" {
		return config{}, errors.New("ADDR is not set") // net/http would listen on every interface
	}
	if s := getenv("CONCURRENCY"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return config{}, fmt.Errorf("CONCURRENCY is %q, not a positive number", s)
		}
		cfg.concurrency = n
	}
	return cfg, nil
}

// serve answers HTTP until ctx ends, and then finishes the requests in hand.
func serve(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return server.Shutdown(stopping)
}

// A message is one text on its way to a gateway, and what both queues carry.
type message struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	To       string `json:"to"`
	Text     string `json:"text"`
}

// accept answers POST /v1/messages. It says 202 only after queue has returned
// nil, that is, when the queue has the message.
func accept(queue func(context.Context, message) error) http.HandlerFunc {
	type request struct {
		Instance string `json:"instance"`
		To       string `json:"to"`
		Text     string `json:"text"`
	}
	type answer struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	return func(w http.ResponseWriter, r *http.Request) {
		var in request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id, err := uuid.NewV7()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		m := message{ID: id.String(), Instance: in.Instance, To: in.To, Text: in.Text}
		if err := queue(r.Context(), m); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(answer{ID: m.ID, Status: "queued"}) // the caller may be gone
	}
}

// gateway sends messages as Evolution API takes them.
type gateway struct {
	client  *http.Client
	baseURL string
}

func newGateway(baseURL string) (gateway, error) {
	if baseURL == "" {
		return gateway{}, errors.New("GATEWAY_URL is not set")
	}
	// Go keeps two idle connections for each host, with which nearly every send
	// would make one anew.
	transport := &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute}
	return gateway{client: &http.Client{Transport: transport}, baseURL: baseURL}, nil
}

// send sends m once. It succeeds when the gateway names the message it made.
// The time it gets is ctx's.
func (g gateway) send(ctx context.Context, m message) error {
	body, err := json.Marshal(struct {
		Number string `json:"number"`
		Text   string `json:"text"`
	}{m.To, m.Text})
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	address := g.baseURL + "/message/sendText/" + url.PathEscape(m.Instance)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Apikey", "bench")
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// Read to the end, or the connection is not used again.
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %s", response.Status)
	}
	var sent struct {
		Key struct {
			ID string `json:"id"`
		} `json:"key"`
	}
	if err := json.Unmarshal(answer, &sent); err != nil {
		return fmt.Errorf("decode the gateway's answer: %w", err)
	}
	if sent.Key.ID == "" {
		return errors.New("the gateway's answer has no key.id")
	}
	return nil
}

// writeMetrics tells what this process has allocated so far, under the names
// that Prometheus' own Go client gives to the same numbers.
func writeMetrics(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprintf(w, "go_memstats_mallocs_total %d\ngo_memstats_alloc_bytes_total %d\n", m.Mallocs, m.TotalAlloc)
}
