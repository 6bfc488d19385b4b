package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestASendIsAnsweredInTheShapeOfEvolution(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})

	got := g.send(t, "+52 1 555 000 1001", "hola")

	status, want := exampleAnswer(t, "send-201")
	if got.status != status {
		t.Fatalf("status = %d, want %d: %s", got.status, status, got.body)
	}
	if diff := cmp.Diff(shape(t, want), shape(t, got.body)); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}
	if jid, want := text(t, got.body, "key", "remoteJid"), "5215550001001@s.whatsapp.net"; jid != want {
		t.Errorf("remoteJid = %q, want %q", jid, want)
	}
	if id := text(t, got.body, "key", "id"); !regexp.MustCompile(`^3EB0[0-9A-F]{18}$`).MatchString(id) {
		t.Errorf("key.id = %q, want 3EB0 and 18 hex digits", id)
	}
}

func TestRefusalsSayWhatEvolutionSays(t *testing.T) {
	t.Parallel()
	const good = `{"number":"5215550001001","text":"hola"}`
	tests := []struct {
		name    string
		faults  string
		body    string
		key     string
		want    string // an example
		outcome sandbox.Outcome
		change  [2]string // of the example
	}{
		{name: "no text", body: `{"number":"5215550001001"}`, want: "send-400-schema", outcome: sandbox.OutcomeInvalid},
		{
			name: "not on WhatsApp", body: `{"number":"5215550000404","text":"hola"}`,
			want: "send-400-exists-false", outcome: sandbox.OutcomeNotOnWhatsApp,
		},
		{
			name: "closed", faults: `{"closed_instances":["sales"]}`,
			want: "send-400-connection-closed", outcome: sandbox.OutcomeClosed,
		},
		{name: "wrong key", key: "other", want: "send-401", outcome: sandbox.OutcomeUnauthorized},
		{
			name: "unauthorized", faults: `{"unauthorized_instances":["sales"]}`,
			want: "send-401", outcome: sandbox.OutcomeUnauthorized,
		},
		{
			name: "missing", faults: `{"missing_instances":["sales"]}`,
			want: "send-404-instance", outcome: sandbox.OutcomeMissing,
		},
		{name: "failing", faults: `{"error_500":1}`, want: "send-500-not-connected", outcome: sandbox.OutcomeFault500},
	}
	// What the examples name and this test names otherwise.
	rename := strings.NewReplacer("nope", "sales", "525550001404@", "5215550000404@", "5215550001404", "5215550000404")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := "k"
			if tt.key != "" {
				key = tt.key
			}
			g := newGateway(t, sandbox.Options{APIKey: "k"})
			g.fault(t, or(tt.faults, "{}"))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				g.url+"/message/sendText/sales", strings.NewReader(or(tt.body, good)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("apikey", key)

			got := do(t, g.client, req)

			status, want := exampleAnswer(t, tt.want)
			if got.status != status {
				t.Errorf("status = %d, want %d", got.status, status)
			}
			if diff := cmp.Diff(rename.Replace(compact(t, want)), compact(t, got.body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			log := g.Sent()
			if len(log) != 1 || log[0].Outcome != tt.outcome || log[0].Delivered || log[0].ID != nil || log[0].AnsweredAt == nil {
				t.Errorf("log = %+v, want one undelivered %s that was answered", log, tt.outcome)
			}
		})
	}
}

func TestARequestThatEvolutionsSchemaRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"no number", `{"text":"hola"}`, `requires property \"number\"`},
		{"number is a number", `{"number":5215550001001,"text":"hola"}`, `number is not of a type(s) string`},
		{"text is a list", `{"number":"5215550001001","text":["hola"]}`, `text is not of a type(s) string`},
		{"blank text", `{"number":"5215550001001","text":" "}`, `Text is required`},
		{"not JSON", `{"number":`, `not valid JSON`},
		{"not an object", `[]`, `array`},
	}
	g := newGateway(t, sandbox.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := g.call(t, http.MethodPost, "/message/sendText/sales", tt.body)
			if got.status != http.StatusBadRequest || !strings.Contains(string(got.body), tt.want) {
				t.Errorf("got %d %s, want 400 with %s", got.status, got.body, tt.want)
			}
		})
	}
}

func TestWhatTheSandboxDoesNotKnowCannotBeSent(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	got := g.call(t, http.MethodPost, "/message/sendTemplate/sales", `{}`)
	if got.status != http.StatusBadRequest || !strings.Contains(string(got.body), "Method not available") {
		t.Errorf("got %d %s, want 400 Method not available", got.status, got.body)
	}
}

func TestTooManyRequestsSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.fault(t, `{"too_many_429":1,"retry_after_seconds":7}`)
	got := g.send(t, "5215550001001", "hola")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "7" {
		t.Errorf("got %d Retry-After %q, want 429 and 7", got.status, got.header.Get("Retry-After"))
	}
}

func TestAnAnswerWithoutKeyHidesAMessageThatWentOut(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.fault(t, `{"no_key_id":1}`)
	got := g.send(t, "5215550001001", "hola")
	if got.status != http.StatusCreated || strings.Contains(string(got.body), `"key"`) {
		t.Errorf("got %d %s, want 201 without key", got.status, got.body)
	}
	log := g.Sent()
	if len(log) != 1 || log[0].Outcome != sandbox.OutcomeNoKey || !log[0].Delivered || log[0].ID == nil {
		t.Errorf("log = %+v, want one delivered no_key with an id", log)
	}
}

func TestAResetLeavesInDoubtWhatTheLogKnows(t *testing.T) {
	t.Parallel()
	for _, delivers := range []int{0, 1} {
		t.Run(fmt.Sprint("delivers ", delivers), func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, sandbox.Options{})
			g.fault(t, fmt.Sprintf(`{"reset":1,"reset_delivers":%d}`, delivers))
			if a, err := g.try(t, http.MethodPost, "/message/sendText/sales", sendBody("5215550001001", "hola")); err == nil {
				t.Fatalf("got an answer: %d", a.status)
			}
			log := g.Sent()
			if len(log) != 1 || log[0].Outcome != sandbox.OutcomeReset || log[0].AnsweredAt != nil {
				t.Fatalf("log = %+v, want one unanswered reset", log)
			}
			if log[0].Delivered != (delivers == 1) || (log[0].ID != nil) != log[0].Delivered {
				t.Errorf("delivered = %v, id = %v", log[0].Delivered, log[0].ID)
			}
		})
	}
}

func TestASlowSendIsStillAccepted(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.fault(t, `{"slow":1,"slow_ms":[20,20]}`)
	if got := g.send(t, "5215550001001", "hola"); got.status != http.StatusCreated {
		t.Errorf("status = %d, want 201", got.status)
	}
	e := g.Sent()[0]
	if took := e.AnsweredAt.Sub(e.ReceivedAt).Milliseconds(); e.Outcome != sandbox.OutcomeAccepted || took < 20 {
		t.Errorf("%s after %d ms, want accepted after 20", e.Outcome, took)
	}
}

// The listener's Close waits for every request, so this test ends only if the
// hanging one does.
func TestAHangEndsWhenTheClientGoesAway(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"hang":1,"hang_seconds":3600,"reset_delivers":1}`)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost,
			g.url+"/message/sendText/sales", strings.NewReader(sendBody("5215550001001", "hola")))
		resp, err := g.client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()

	sink.take(t, 3) // so it hangs, and the message went out all the same
	leave()

	if err := <-gone; err == nil {
		t.Error("got an answer, want none")
	}
	if e := g.Sent()[0]; e.Outcome != sandbox.OutcomeHang || !e.Delivered || e.AnsweredAt != nil {
		t.Errorf("log = %+v, want an unanswered, delivered hang", e)
	}
}

func TestConcurrentSendsAreLoggedExactly(t *testing.T) {
	t.Parallel()
	const senders, each = 50, 100
	g := newGateway(t, sandbox.Options{})
	if transport, ok := g.client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = senders
	}
	answered := make(chan string, senders*each)
	var group sync.WaitGroup
	for i := range senders {
		group.Go(func() {
			for n := range each {
				a, err := g.try(t, http.MethodPost, "/message/sendText/sales", sendBody("5215550001001", fmt.Sprint(i, " ", n)))
				if err == nil {
					answered <- text(t, a.body, "key", "id")
				}
			}
		})
	}
	group.Wait()
	close(answered)

	log := g.Sent()
	if len(log) != senders*each || len(answered) != senders*each {
		t.Fatalf("log has %d, answered %d, want %d", len(log), len(answered), senders*each)
	}
	known := map[string]bool{}
	for i, e := range log {
		if e.Seq != int64(i+1) {
			t.Fatalf("seq = %d at %d", e.Seq, i)
		}
		if i > 0 && e.ReceivedAt.Before(log[i-1].ReceivedAt) {
			t.Fatalf("seq %d was received before the one ahead of it", e.Seq)
		}
		known[*e.ID] = true
	}
	for id := range answered {
		delete(known, id)
	}
	if len(known) != 0 {
		t.Errorf("%d logged ids were not answered", len(known))
	}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
