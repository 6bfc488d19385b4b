package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/msgorch/msgorch/internal/console"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

const token = "0123456789abcdef"

// desk is a console with a Redis of its own.
type desk struct {
	*console.Console
	client *asynq.Client
	levels []string // set, in order
	phone  *phone
}

func newDesk(t *testing.T, token secret.Text) *desk {
	t.Helper()
	return newLoggedDesk(t, token, slog.New(slog.DiscardHandler))
}

func newLoggedDesk(t *testing.T, token secret.Text, log *slog.Logger) *desk {
	t.Helper()
	url := testenv.Redis(t)
	d := &desk{client: testenv.Client(t, url), phone: &phone{}}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "msgorch_test_total", Help: "A test."}))
	d.Console = console.New(console.Config{
		Redis: testenv.RedisOpt(t, url), Metrics: metrics, Log: log, Token: token,
		Linker:   d.phone,
		LogLevel: func() string { return "info,worker=debug" },
		SetLogLevel: func(_ context.Context, directives string) error {
			if directives == "shout" {
				return errors.New(`"shout" is not a level`)
			}
			d.levels = append(d.levels, directives)
			return nil
		},
	})
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// ask makes a request as an operator's own program would: from nowhere, to a
// loopback name.
func (d *desk) ask(t *testing.T, method, path, body string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:3002"+path, strings.NewReader(body))
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	got, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(got)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) {
	return func(r *http.Request) { r.Host = name }
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func TestWithATokenOnlyTheOperatorComesIn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token)
	tests := []struct {
		name string
		edit func(*http.Request)
		want int
	}{
		{"nobody", func(*http.Request) {}, http.StatusUnauthorized},
		{"basic", basic("admin", token), http.StatusOK},
		{"bearer", header("Authorization", "Bearer "+token), http.StatusOK},
		{"another user", basic("root", token), http.StatusUnauthorized},
		{"another password", basic("admin", "x"), http.StatusUnauthorized},
		{"no password", basic("admin", ""), http.StatusUnauthorized},
		{"another bearer", header("Authorization", "Bearer x"), http.StatusUnauthorized},
		{"an empty bearer", header("Authorization", "Bearer "), http.StatusUnauthorized},
		{"the token without a scheme", header("Authorization", token), http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/", "/instances/", "/instances/sales", "/link.js", "/queues/", "/queues/api/queues", "/metrics", "/log-level", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
				if got, body := d.ask(t, http.MethodGet, path, "", tt.edit); got != tt.want {
					t.Errorf("GET %s = %d, want %d: %.200s", path, got, tt.want, body)
				}
			}
			// From any host: the token is the proof.
			if got, _ := d.ask(t, http.MethodGet, "/", "", tt.edit, host("ops.example.com")); got != tt.want {
				t.Errorf("from another host: %d, want %d", got, tt.want)
			}
		})
	}
}

// A name that someone pointed at 127.0.0.1 leads a browser here with that name.
func TestWithoutATokenOnlyLoopbackNamesAreServed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	tests := []struct {
		host string
		want int
	}{
		{"127.0.0.1:3002", http.StatusOK},
		{"127.0.0.1", http.StatusOK},
		{"localhost:3002", http.StatusOK},
		{"LOCALHOST", http.StatusOK},
		{"[::1]:3002", http.StatusOK},
		{"[::1]", http.StatusOK},
		{"evil.example.com:3002", http.StatusForbidden},
		{"localhost.evil.example.com", http.StatusForbidden},
		{"127.0.0.1.evil.example.com", http.StatusForbidden},
		{"10.0.0.7:3002", http.StatusForbidden},
		{"0.0.0.0:3002", http.StatusForbidden},
		{"", http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/", "/queues/api/queues", "/log-level"} {
				if got, _ := d.ask(t, http.MethodGet, path, "", host(tt.host)); got != tt.want {
					t.Errorf("GET %s = %d, want %d", path, got, tt.want)
				}
			}
		})
	}
}

func TestOtherSitesCannotPostHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	if err := tasks.Enqueue(t.Context(), d.client, hello()); err != nil {
		t.Fatal(err)
	}
	const pause = "/queues/api/queues/default:pause"
	for _, edit := range []func(*http.Request){
		header("Origin", "https://evil.example.com"), header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "null"),
	} {
		if got, _ := d.ask(t, http.MethodPost, pause, "", edit); got != http.StatusForbidden {
			t.Errorf("POST from another site = %d, want 403", got)
		}
		if got, _ := d.ask(t, http.MethodPut, "/log-level", `{"level":"error"}`, edit); got != http.StatusForbidden {
			t.Errorf("PUT from another site = %d, want 403", got)
		}
	}
	if len(d.levels) != 0 {
		t.Errorf("levels were set: %v", d.levels)
	}
	if got, body := d.ask(t, http.MethodPost, pause, "", header("Origin", "http://127.0.0.1:3002"), header("Sec-Fetch-Site", "same-origin")); got >= 300 {
		t.Errorf("POST from here = %d %s, want success", got, body)
	}
}

func TestThePagesAreThere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	for path, want := range map[string]string{
		"/": "MsgOrch", "/queues/": `<div id="root">`, "/metrics": "msgorch_test_total 0", "/debug/pprof/": "goroutine", "/queues/api/queues": `{"queues":`,
	} {
		if status, body := d.ask(t, http.MethodGet, path, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d, want a page with %q: %.300s", path, status, want, body)
		}
	}
	if status, _ := d.ask(t, http.MethodGet, "/nothing", ""); status != http.StatusNotFound {
		t.Errorf("GET /nothing = %d, want 404", status)
	}
}

func hello() tasks.SendMessage {
	return tasks.SendMessage{
		ID: "0199c2f4-0000-7000-8000-000000000001", Key: "order-1042", Instance: "sales", To: "+5215550000001", Text: "Tu código es 4711",
		Metadata: map[string]any{"customer": "Ana", "n": 12.5, "list": []any{"secret"}},
	}
}

func TestQueuesShowWhichWorkItIsAndNotWhatPeopleWrote(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	batch := tasks.SendMessages{Batch: "b1", Messages: []tasks.SendMessage{hello()}}
	for _, p := range []tasks.Payload{hello(), batch, tasks.GatewayEvent{ID: "e1", Instance: "sales", Event: "messages.upsert"}} {
		if err := tasks.Enqueue(t.Context(), d.client, p); err != nil {
			t.Fatal(err)
		}
	}
	message := map[string]any{
		"id": hello().ID, "instance": "sales", "key": "(10 characters)", "to": "(14 characters)", "text": "(17 characters)", "metadata": "(hidden)",
	}
	want := map[string]any{
		"message:send":  message,
		"messages:send": map[string]any{"batch": "b1", "messages": []any{message}},
		"gateway:event": map[string]any{"id": "e1", "instance": "sales", "event": "messages.upsert"},
	}
	got := map[string]any{}
	for _, queue := range []string{"default", "inbound"} {
		for _, task := range pendingTasks(t, d, queue) {
			var payload any
			if err := json.Unmarshal([]byte(task.Payload), &payload); err != nil {
				t.Fatalf("%s: %v", task.Payload, err)
			}
			got[task.Type] = payload
			status, body := d.ask(t, http.MethodGet, "/queues/api/queues/"+queue+"/tasks/"+task.ID, "")
			if status != http.StatusOK {
				t.Errorf("one task: %d %s", status, body)
			}
			for _, private := range []string{"4711", "5550000001", "Ana", "order-1042", "secret"} {
				if strings.Contains(body, private) {
					t.Errorf("one %s shows %q: %s", task.Type, private, body)
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
}

type shownTask struct{ ID, Type, Payload string }

func pendingTasks(t *testing.T, d *desk, queue string) []shownTask {
	t.Helper()
	status, body := d.ask(t, http.MethodGet, "/queues/api/queues/"+queue+"/pending_tasks", "")
	if status != http.StatusOK {
		t.Fatalf("pending tasks: %d %s", status, body)
	}
	var page struct{ Tasks []shownTask }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	return page.Tasks
}

// What the console does not know it hides.
func TestPayloadsOfAnyShapeAreMasked(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	const private = "s3cr3t"
	payloads := []string{
		private, `"` + private + `"`, `["` + private + `"]`, `{"a":["` + private + `",["` + private + `"]]}`, `{"a":{"b":"` + private + `"}}`,
		`{"id":["` + private + `"]}`, `{"text":"` + private + `"}`, `{"id":{"text":"` + private + `"}}`, "\xff" + private, ``, `null`, `17`,
	}
	for _, p := range payloads {
		task := asynq.NewTask("message:send", []byte(p))
		if _, err := d.client.EnqueueContext(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	shown := pendingTasks(t, d, "default")
	if len(shown) != len(payloads) {
		t.Errorf("%d tasks, want %d", len(shown), len(payloads))
	}
	for _, task := range shown {
		if strings.Contains(task.Payload, private) {
			t.Errorf("a payload is shown: %s", task.Payload)
		}
	}
}

func TestTheLogLevelCanBeReadAndChanged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	if status, body := d.ask(t, http.MethodGet, "/log-level", ""); status != http.StatusOK || strings.TrimSpace(body) != `{"level":"info,worker=debug"}` {
		t.Errorf("GET = %d %s", status, body)
	}
	tests := []struct {
		name, body string
		want       int
		says       string
	}{
		{"directives", `{"level":"warn,worker=trace"}`, http.StatusOK, `{"level":"warn,worker=trace"}`},
		{"not a level", `{"level":"shout"}`, http.StatusUnprocessableEntity, `"shout" is not a level`},
		{"nothing", ``, http.StatusBadRequest, "The body must be"},
		{"no JSON", `warn`, http.StatusBadRequest, "The body must be"},
		{"no level", `{}`, http.StatusBadRequest, "The body must be"},
		{"another field", `{"level":"warn","colour":"red"}`, http.StatusBadRequest, "The body must be"},
		{"another type", `{"level":3}`, http.StatusBadRequest, "The body must be"},
		{"far too much", `{"level":"` + strings.Repeat("a", 5000) + `"}`, http.StatusBadRequest, "The body must be"},
	}
	for _, tt := range tests { // one after another: they share the desk's levels
		status, body := d.ask(t, http.MethodPut, "/log-level", tt.body)
		if status != tt.want || !strings.HasPrefix(body, tt.says) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.want, tt.says)
		}
	}
	if diff := cmp.Diff([]string{"warn,worker=trace"}, d.levels); diff != "" {
		t.Errorf("levels set (-want +got):\n%s", diff)
	}
	if status, _ := d.ask(t, http.MethodDelete, "/log-level", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d, want 405", status)
	}
}
