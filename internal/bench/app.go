package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// Ways in which an App hands messages over.
const (
	ByOutbox  = "outbox"
	ByEnqueue = "enqueue"
)

// App is a program of somebody's that sends through the Go packages: it takes
// POST /v1/messages as the API does, and answers 202.
func App(by string, pool *pgxpool.Pool, client *asynq.Client) (http.Handler, error) {
	var send func(context.Context, tasks.SendMessage) error
	switch by {
	case ByOutbox:
		ob := outbox.New(pool, client)
		send = func(ctx context.Context, m tasks.SendMessage) error {
			_, err := ob.Send(ctx, m)
			return err
		}
	case ByEnqueue:
		send = func(ctx context.Context, m tasks.SendMessage) error { return tasks.Enqueue(ctx, client, m) }
	default:
		return nil, fmt.Errorf("there is no way %q; use %s or %s", by, ByOutbox, ByEnqueue)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		var m tasks.SendMessage
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := send(r.Context(), m); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"status":"queued"}`)) // the caller may be gone
	})
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_, _ = fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", m.Mallocs)
	})
	return mux, nil
}
