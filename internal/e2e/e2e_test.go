package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestAConversation(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.AckDelayMS, f.ReadDelayMS = []int{1000, 1100}, []int{2500, 2600}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	sent := s.send("sales", "+5215550000001", "Hola")
	if sent["status"] != "queued" || sent["chat"] != "5215550000001@s.whatsapp.net" {
		t.Errorf("accepted as %v", sent)
	}
	m := s.awaitStatus(sent["id"], "read")

	var steps []string
	for _, h := range m["history"].([]any) {
		steps = append(steps, h.(map[string]any)["status"].(string))
	}
	slices.Sort(steps[min(2, len(steps)):]) // on a busy machine a report may be heard before the answer
	if diff := cmp.Diff([]string{"queued", "sending", "accepted", "delivered", "read"}, steps); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	attempts := m["attempts"].([]any)
	if len(attempts) != 1 || attempts[0].(map[string]any)["http_status"] != 201.0 {
		t.Errorf("attempts = %v, want one with 201", attempts)
	}

	if _, err := s.gateway.Receive(sandbox.Inbound{Instance: "sales", From: "5215550000001", Text: "¿Qué tal?"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both sides stand in the chat", func() bool {
		return len(s.list("/v1/instances/sales/chats/5215550000001@s.whatsapp.net/messages")) == 2
	})
	chat := s.list("/v1/instances/sales/chats")[0]
	if chat["unread"] != 1.0 {
		t.Errorf("unread = %v, want 1", chat["unread"])
	}
	last := chat["last_message"].(map[string]any)
	if last["text"] != "¿Qué tal?" || last["direction"] != "inbound" || last["status"] != "received" {
		t.Errorf("last message = %v", last)
	}
	if got := len(s.gateway.Sent()); got != 1 {
		t.Errorf("the gateway was asked %d times, want once", got)
	}
}

func TestTheSameRequestGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	headers := http.Header{"Authorization": {"Bearer " + apiToken}, "Idempotency-Key": {"order-1"}}
	body := map[string]any{"instance": "sales", "to": "5215550000001", "text": "Hola", "metadata": map[string]any{"order": "A-17"}}
	status, h, first := s.request(http.MethodPost, "/v1/messages", body, headers)
	if status != http.StatusAccepted || h.Get("Location") != fmt.Sprintf("/v1/messages/%v", first["id"]) || h.Get("Idempotency-Replayed") != "" {
		t.Fatalf("first: %d %v %v", status, h, first)
	}
	s.awaitStatus(first["id"], "read")
	status, h, again := s.request(http.MethodPost, "/v1/messages", body, headers)
	if status != http.StatusAccepted || h.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %v", status, h)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("another answer (-first +again):\n%s", diff)
	}
	body["text"] = "Adiós"
	status, _, p := s.request(http.MethodPost, "/v1/messages", body, headers)
	if status != http.StatusUnprocessableEntity || p["code"] != "idempotency_key_reused" {
		t.Errorf("other body: %d %v", status, p)
	}
}

func TestEveryCorpusFileIsAnsweredAndKept(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	files := corpus(t, "evolution")
	for name, body := range files {
		for _, path := range []string{"/webhooks/evolution/tienda-demo", "/webhooks/evolution/tienda-demo/any-event"} {
			if status, answer := s.webhook(path, body); status != http.StatusOK {
				t.Errorf("%s: %d %v", name, status, answer)
			}
		}
	}
	pool := testenv.PoolOn(t, s.database)
	count := func(where string) (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gateway_events WHERE "+where).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "every event is settled", func() bool { return count("state = 'pending'") == 0 })
	if got := count("true"); got != len(files) {
		t.Errorf("%d events kept, want %d: one for each file", got, len(files))
	}
	if got := count("state = 'quarantined' AND reason = 'apply_failed'"); got != 0 {
		t.Errorf("%d events could not be applied", got)
	}
	var leaked int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gateway_events WHERE convert_from(body, 'UTF8') LIKE '%SYNTHETIC-%TOKEN%' OR convert_from(body, 'UTF8') LIKE '%SYNTHETIC-GLOBAL%'").Scan(&leaked); err != nil {
		t.Fatal(err)
	}
	if leaked != 0 {
		t.Errorf("%d bodies hold the gateway's secrets", leaked)
	}
}

func TestHostileBodiesMeetWhatTheirManifestSays(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, env: []string{"LOG_LEVEL=trace"}})
	var manifest struct {
		Cases map[string]string `json:"cases"`
	}
	files := corpus(t, "hostile")
	if err := json.Unmarshal(files["MANIFEST"], &manifest); err != nil {
		t.Fatal(err)
	}
	delete(files, "MANIFEST")
	pool := testenv.PoolOn(t, s.database)
	rows := func() (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, body := range files {
		want := manifest.Cases[name]
		if strings.HasPrefix(name, "cloud-") {
			continue // another gateway's
		}
		instance := "tienda-demo"
		if name == "delete-foreign-instance" {
			instance = "otra"
		}
		before := rows()
		status, answer := s.webhook("/webhooks/evolution/"+instance, body)
		eventually(t, name+" is settled", func() bool {
			var n int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gateway_events WHERE state = 'pending'").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 0
		})
		if status >= http.StatusInternalServerError {
			t.Errorf("%s: %d %v", name, status, answer)
		}
		switch {
		case strings.HasPrefix(want, "answer 400"), strings.HasPrefix(want, "answer 401"):
			if status != http.StatusBadRequest || rows() != before {
				t.Errorf("%s: %d %v, %d new rows, want 400 and none", name, status, answer, rows()-before)
			}
		case strings.HasPrefix(want, "answer 2xx, quarantine"):
			if status != http.StatusOK || answer["status"] != "quarantined" || rows() != before {
				t.Errorf("%s: %d %v, %d new rows, want quarantined and none", name, status, answer, rows()-before)
			}
		case strings.HasPrefix(want, "answer 2xx, message row stored"):
			if status != http.StatusOK || answer["status"] == "quarantined" {
				t.Errorf("%s: %d %v, want a row", name, status, answer)
			}
			if _, err := pool.Exec(t.Context(), "DELETE FROM messages"); err != nil { // they share one id
				t.Fatal(err)
			}
		default:
			if status >= http.StatusInternalServerError {
				t.Errorf("%s: %d %v", name, status, answer)
			}
		}
	}
	for _, p := range append(s.workers, s.api) {
		if strings.Contains(p.output(), "SYNTHETIC-") {
			t.Errorf("the log of %s holds a gateway's secret", p.name)
		}
	}
}

func TestEachAnswerOfTheGatewayHasItsOutcome(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	}{}
	for name, raw := range corpus(t, "evolution/http") {
		a := answers[name]
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		answers[name] = a
	}
	// The instance's name says which answer its gateway gives.
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body)
	}))
	t.Cleanup(gateway.Close)
	s := start(t, options{quiet: true, gateway: gateway.URL})
	type outcome struct{ status, attempt string }
	wants := map[string]outcome{
		"send-201":                   {"accepted", "accepted"},
		"send-201-graph-error":       {"failed", "permanent"},
		"send-400-exists-false":      {"failed", "permanent"},
		"send-400-schema":            {"failed", "permanent"},
		"send-400-ambiguous-db":      {"unknown", "in_doubt"},
		"send-400-network-cloud":     {"unknown", "in_doubt"},
		"send-400-connection-closed": {"queued", "retry"},
		"restart-200-error":          {"queued", "retry"},
		"send-500-not-connected":     {"queued", "retry"},
		"send-500-not-loaded":        {"queued", "retry"},
		"send-401":                   {"queued", "pause"},
		"send-403-name-in-use":       {"queued", "pause"},
		"send-404-instance":          {"queued", "pause"},
		"send-503-license":           {"queued", "pause"},
	}
	for name := range answers {
		want, ok := wants[name]
		if !ok {
			t.Errorf("%s: no outcome is expected of it", name)
			continue
		}
		s.instance(name)
		id := s.send(name, "+5215550000001", "Un secreto")["id"]
		var m map[string]any
		eventually(t, name+" has its first attempt", func() bool {
			m = s.message(id)
			return len(m["attempts"].([]any)) > 0 && m["status"] != "sending"
		})
		first := m["attempts"].([]any)[0].(map[string]any)
		got := outcome{m["status"].(string), first["outcome"].(string)}
		if got != want {
			t.Errorf("%s: %v, want %v (%v)", name, got, want, first)
		}
		if reason, _ := json.Marshal(first["error"]); strings.Contains(string(reason), "Un secreto") {
			t.Errorf("%s: the reason repeats the text: %s", name, reason)
		}
		_, i := s.call(http.MethodGet, "/v1/instances/"+name, nil)
		if paused := i["paused_at"] != nil; paused != (want.attempt == "pause") {
			t.Errorf("%s: paused = %v", name, paused)
		}
	}
}

func TestTwoWorkersShareAThousandMessagesAndSendNoneTwice(t *testing.T) {
	t.Parallel()
	s := start(t, options{workers: 2, quiet: true})
	s.instance("sales")
	const messages, chats, callers = 1000, 50, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < messages; i += callers {
				s.send("sales", fmt.Sprintf("52155500%05d", i%chats), fmt.Sprintf("message %d", i))
			}
		})
	}
	wg.Wait()
	eventually(t, "all are sent", func() bool {
		return len(s.gateway.Sent()) >= messages && len(s.list("/v1/messages?status=queued")) == 0
	})
	times := map[string]int{}
	for _, sent := range s.gateway.Sent() {
		times[sent.Text]++
	}
	for text, n := range times {
		if n != 1 {
			t.Errorf("%q was sent %d times", text, n)
		}
	}
	if len(times) != messages {
		t.Errorf("%d different messages were sent, want %d", len(times), messages)
	}
	for i, w := range s.workers {
		if n := metric(t, w.addr[""], `msgorch_attempts_total{outcome="accepted"}`); n == 0 {
			t.Errorf("worker %d sent nothing", i)
		}
	}
}

func TestMessagesOfAChatLeaveInOrder(t *testing.T) {
	t.Parallel()
	s := start(t, options{workers: 2, quiet: true})
	s.instance("sales")
	faults := sandbox.DefaultFaults()
	faults.Error500 = 0.2
	if err := s.gateway.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
	const messages, chats = 60, 6
	var wg sync.WaitGroup
	for c := range chats {
		wg.Go(func() {
			for i := range messages / chats {
				s.send("sales", fmt.Sprintf("52155500%05d", c), fmt.Sprintf("%d", i))
			}
		})
	}
	wg.Wait()
	delivered := func() (out map[string][]string) {
		out = map[string][]string{}
		for _, m := range s.gateway.Sent() {
			if m.Delivered {
				out[m.To] = append(out[m.To], m.Text)
			}
		}
		return out
	}
	eventually(t, "all went out", func() bool {
		n := 0
		for _, texts := range delivered() {
			n += len(texts)
		}
		return n >= messages
	})
	for chat, texts := range delivered() {
		for i, text := range texts {
			if text != fmt.Sprint(i) {
				t.Errorf("%s went out as %v", chat, texts)
				break
			}
		}
	}
}

func TestAWorkerThatIsToldToStopFinishesWhatItHolds(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, env: []string{"CONCURRENCY=4"}})
	s.instance("sales")
	faults := sandbox.DefaultFaults()
	faults.Slow, faults.SlowMS = 1, []int{100, 300}
	if err := s.gateway.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
	const messages = 80
	for i := range messages {
		s.send("sales", fmt.Sprintf("52155500%05d", i%8), fmt.Sprintf("message %d", i))
	}
	eventually(t, "work is under way", func() bool { return len(s.gateway.Sent()) > 4 })
	if code := s.workers[0].stop(); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
	if left := s.list("/v1/messages?status=sending"); len(left) > 0 {
		t.Errorf("%d messages are left half-sent", len(left))
	}
	s.startWorker()
	eventually(t, "another worker sends the rest", func() bool { return len(s.list("/v1/messages?status=accepted&limit=200")) == messages })
	if got := len(s.gateway.Sent()); got != messages {
		t.Errorf("the gateway was asked %d times for %d messages", got, messages)
	}
}

func TestAChangeOfTheLogLevelReachesARunningWorker(t *testing.T) {
	t.Parallel()
	s := start(t, options{env: []string{"LOG_LEVEL=warn,api=info,worker=info"}})
	s.instance("sales")
	status, _, body := request(t, http.MethodPut, s.api.addr["operator"]+"/log-level", map[string]string{"level": "info,worker=debug"}, nil)
	if status != http.StatusOK {
		t.Fatalf("PUT /log-level: %d %v", status, body)
	}
	if _, _, body = request(t, http.MethodGet, s.api.addr["operator"]+"/log-level", nil, nil); body["level"] != "info,worker=debug" {
		t.Errorf("GET /log-level = %v", body)
	}
	eventually(t, "the worker writes debug lines", func() bool {
		s.awaitStatus(s.send("sales", "+5215550000001", "Un secreto")["id"], "accepted", "delivered", "read")
		return strings.Contains(s.workers[0].output(), `"message.attempted"`)
	})
	if strings.Contains(s.workers[0].output()+s.api.output(), "Un secreto") {
		t.Error("a log holds a message's text")
	}
	if status, _, _ = request(t, http.MethodPut, s.api.addr["operator"]+"/log-level", map[string]string{"level": "loud"}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("a level that is none: %d, want 422", status)
	}
}

func TestARedisThatForgotEverythingLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true, quiet: true})
	s.instance("sales")
	var ids []any
	for i := range 30 {
		ids = append(ids, s.send("sales", fmt.Sprintf("52155500%05d", i%7), "Hola")["id"])
	}
	status, _ := s.webhook("/webhooks/evolution/sales", []byte(`{"event":"messages.upsert","instance":"sales","data":{"key":{"remoteJid":"5215550000001@s.whatsapp.net","fromMe":false,"id":"X1"},"message":{"conversation":"hola"},"messageTimestamp":1763880000}}`))
	if status != http.StatusOK {
		t.Fatalf("webhook: %d", status)
	}
	flush(t, s.redis)
	s.startWorker()
	for _, id := range ids {
		s.awaitStatus(id, "accepted")
	}
	eventually(t, "the event is applied", func() bool { return len(s.list("/v1/messages?direction=inbound")) == 1 })
	if got := len(s.gateway.Sent()); got != len(ids) {
		t.Errorf("the gateway was asked %d times for %d messages", got, len(ids))
	}
}

func TestAKilledWorkerLeavesNothingUnfinished(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	s.workers[0].cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it runs
	s.workers[0].wait()
	id := s.send("sales", "+5215550000001", "Hola")["id"]
	s.startWorker()
	s.awaitStatus(id, "accepted")
}

func TestProgramsSayWhichVariableIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	for _, name := range []string{"api", "worker"} {
		p := run(t, name, append(s.env, "DATABASE_URL=nonsense-with-a-password"))
		if code := p.wait(); code != 1 {
			t.Errorf("%s: exit code %d, want 1", name, code)
		}
		if out := p.output(); !strings.Contains(out, "DATABASE_URL") || strings.Contains(out, "nonsense") {
			t.Errorf("%s said %q", name, out)
		}
	}
}

func TestALoneMessageIsQuick(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	m := s.awaitStatus(s.send("sales", "+5215550000001", "Hola")["id"], "accepted")
	created, err := time.Parse(time.RFC3339, m["created_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := time.Parse(time.RFC3339, m["accepted_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("from our acceptance to the gateway's: %s", accepted.Sub(created)) // a benchmark judges it
}
