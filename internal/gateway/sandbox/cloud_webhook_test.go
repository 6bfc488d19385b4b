package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	wall "github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

// to has the number's webhooks go to a sink, which is not asked first.
func to(sink *sink) func(*sandbox.CloudNumber) {
	return func(n *sandbox.CloudNumber) { n.Callback, n.VerifyToken = sink.url, "" }
}

// inbound is Ana writing to the number.
func inbound(message string) sandbox.CloudInbound {
	return sandbox.CloudInbound{PhoneNumberID: numberID, From: "5215550001001", Name: "Ana Prueba", Message: json.RawMessage(message)}
}

// graphCall posts a message to a server without a socket between.
func graphCall(t *testing.T, s *sandbox.Server, body string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graph/v23.0/"+numberID+"/messages", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w.Code
}

// updates reads webhooks until they have told n things, checking the signature of
// each.
func updates(t *testing.T, sink *sink, n int) wall.Update {
	t.Helper()
	var all wall.Update
	for len(all.Messages)+len(all.Statuses) < n {
		h := sink.take(t, 1)[0]
		if h.path != "/webhooks/cloud/sales" || !cloud.Signed(h.body, h.header.Get("X-Hub-Signature-256"), appSecret) {
			t.Errorf("a webhook to %s is signed with %q", h.path, h.header.Get("X-Hub-Signature-256"))
		}
		u := decodeUpdate(t, h.body)
		all.Messages = append(all.Messages, u.Messages...)
		all.Statuses = append(all.Statuses, u.Statuses...)
		all.Contacts = append(all.Contacts, u.Contacts...)
	}
	return all
}

func decodeUpdate(t *testing.T, body []byte) wall.Update {
	t.Helper()
	envelope, err := cloud.Decoder{}.Open(body)
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	u, err := cloud.Decoder{}.Decode(envelope.Event, envelope.Body)
	if err != nil || len(u.Unusable) > 0 {
		t.Fatalf("%v, %q in %s", err, u.Unusable, body)
	}
	return u
}

func TestWhatBecomesOfAMessageIsReported(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	a := g.text(t, ana)

	var got []string
	for _, e := range updates(t, sink, 3).Statuses {
		if e.MessageID != a.MessageID || e.Ours != "ours-1" || e.Account != numberID || e.At.IsZero() {
			t.Errorf("evidence = %+v", e)
		}
		got = append(got, string(e.Status))
	}
	slices.Sort(got) // nobody promises their order
	if diff := cmp.Diff([]string{"delivered", "read", "sent"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusesHaveTheShapeOfMetas(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	g.Send(t.Context(), g.account, wall.Outgoing{ // without our id, as in the examples
		To: ana, Type: wall.TypeTemplate, Content: &wall.Content{Template: json.RawMessage(`{"name":"x","language":{"code":"es"}}`)},
	})
	for _, h := range sink.take(t, 3) {
		var body struct {
			Entry []struct {
				Changes []struct {
					Value struct{ Statuses []struct{ Status string } }
				}
			}
		}
		if err := json.Unmarshal(h.body, &body); err != nil {
			t.Fatal(err)
		}
		name := "statuses." + body.Entry[0].Changes[0].Value.Statuses[0].Status
		if diff := cmp.Diff(shape(t, cloudExample(t, name)), shape(t, h.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGroupsReportNoReadingOnGraph(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	g.fault(t, `{"ack_delay_ms":[0,0],"read_delay_ms":[0,0]}`)
	group := g.text(t, "Y2FwaV9ncm91cDox@g.us")
	g.text(t, ana)
	for _, e := range updates(t, sink, 4).Statuses {
		if e.MessageID == group.MessageID && e.Status != wall.StatusSent {
			t.Errorf("got %+v", e)
		}
	}
}

// Whoever writes JSON anew signs another body, and that is noticed only with
// Meta's escapes.
func TestBodiesAreEscapedAsMetaDoes(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	const said = `¿Qué? 😀 a/b <i> \ "x" \/`
	message, err := json.Marshal(map[string]any{"type": "text", "text": map[string]string{"body": said}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.ReceiveOnCloud(inbound(string(message))); err != nil {
		t.Fatal(err)
	}
	h := sink.take(t, 1)[0]
	if want := `"body":"\u00bfQu\u00e9? \ud83d\ude00 a\/b <i> \\ \"x\" \\\/"`; !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(
		string(h.body), `\u003c`, "<"), `\u003e`, ">"), want) {
		t.Errorf("%s has no %s", h.body, want)
	}
	if got := decodeUpdate(t, h.body).Messages[0].Text; got != said {
		t.Errorf("decoded %q, want %q", got, said)
	}
}

func TestReportsCanShareABody(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	g.fault(t, `{"webhook_batch":1}`)
	const n = 30
	for i := range n {
		if _, err := g.ReceiveOnCloud(inbound(fmt.Sprintf(`{"type":"text","text":{"body":"m%d"}}`, i))); err != nil {
			t.Fatal(err)
		}
	}
	messages, webhooks, entries := 0, 0, 0
	for messages < n {
		h := sink.take(t, 1)[0]
		messages += len(decodeUpdate(t, h.body).Messages)
		entries += strings.Count(string(h.body), `"changes":`)
		webhooks++
	}
	if messages != n || webhooks == n || entries <= webhooks {
		t.Errorf("%d messages in %d entries of %d webhooks, want %d that share both", messages, entries, webhooks, n)
	}
}

func TestACallbackIsAskedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		challenge, ok := cloud.Verify(r.URL.Query(), "V")
		if r.Method != http.MethodGet || r.URL.Path != "/webhooks/cloud/sales" || !ok {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, challenge)
	}))
	defer web.Close()
	g := newGraph(t, func(n *sandbox.CloudNumber) { n.Callback = web.URL + "/" })

	body := `{"phone_number_id":"` + numberID + `","instance":"sales","token":"T2","app_secret":"S2","verify_token":"%s","callback":"` + web.URL + `"}`
	wrong := g.call(t, http.MethodPost, "/sandbox/cloud/numbers", fmt.Sprintf(body, "W"))
	if wrong.status != http.StatusBadRequest || !strings.HasPrefix(text(t, wrong.body, "error"), "callback:") || strings.Contains(string(wrong.body), "W\"") {
		t.Errorf("got %d %s, want 400 about the callback", wrong.status, wrong.body)
	}
	if err := g.Probe(t.Context(), g.account); err != nil {
		t.Errorf("the refused registration changed something: %v", err)
	}
	right := g.call(t, http.MethodPost, "/sandbox/cloud/numbers", fmt.Sprintf(body, "V"))
	if right.status != http.StatusOK || strings.Contains(string(right.body), "T2") || strings.Contains(string(right.body), "S2") {
		t.Errorf("got %d %s, want 200 without secrets", right.status, right.body)
	}
}

func TestAWebhookOfMetaIsTriedAgainWhateverTheAnswerWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newTimed(t, sandbox.DefaultFaults(), 401, 404, 201, 200)
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: numberID, Callback: "http://receiver"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReceiveOnCloud(inbound(`{"type":"text","text":{"body":"hola"}}`)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)

		if len(r.bodies) != 4 {
			t.Fatalf("%d tries, want 4", len(r.bodies))
		}
		for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			if wait := r.after[i+1] - r.after[i]; wait < want*8/10 || wait > want*12/10 || !bytes.Equal(r.bodies[0], r.bodies[i+1]) {
				t.Errorf("wait %d is %v, want %v give or take a fifth, and the same body", i+1, wait, want)
			}
		}
	})
}

func TestStatusesComeAtTheTimesOfAnyGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.DefaultFaults()
		f.WebhookDuplicate = 1
		s, r := newTimed(t, f, 200)
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: numberID, Callback: "http://receiver"}); err != nil {
			t.Fatal(err)
		}
		graphCall(t, s, goodText)
		pass(time.Second)
		between := func(i int, low, high int64) bool {
			return r.after[i].Milliseconds() >= low && r.after[i].Milliseconds() <= high && bytes.Equal(r.bodies[i], r.bodies[i-1])
		}
		if len(r.after) != 6 || r.after[0] != 0 || !between(1, 0, 0) || !between(3, 40, 60) || !between(5, 130, 170) {
			t.Errorf("after %v, want twice each 0, about 50 and about 150 ms", r.after)
		}
	})
}

func TestAWebhookThatWaitsFollowsItsNumberToAnotherCallback(t *testing.T) {
	t.Parallel()
	first, second := newSink(t, func() int { return http.StatusServiceUnavailable }), newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookBackoff: 20 * time.Millisecond, WebhookAttempts: 30})
	for _, sink := range []*sink{first, second} {
		n := sandbox.CloudNumber{PhoneNumberID: numberID, Callback: sink.url}
		if err := g.RegisterNumber(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if sink == second {
			break
		}
		if _, err := g.ReceiveOnCloud(inbound(`{"type":"text","text":{"body":"hola"}}`)); err != nil {
			t.Fatal(err)
		}
		first.take(t, 1)
	}
	if h := second.take(t, 1)[0]; h.path != "/webhooks/cloud/"+numberID || h.header.Get("X-Hub-Signature-256") != "" {
		t.Errorf("a webhook to %s is signed with %q", h.path, h.header.Get("X-Hub-Signature-256"))
	}
}

func TestAWebhookOfMetaCanBeDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.DefaultFaults()
		f.WebhookDrop = 1
		s, r := newTimed(t, f, 200)
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: numberID, Callback: "http://receiver"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReceiveOnCloud(inbound(`{"type":"text","text":{"body":"hola"}}`)); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if len(r.bodies) != 0 || len(s.Received()) != 1 {
			t.Errorf("%d webhooks of %d messages, want none of one", len(r.bodies), len(s.Received()))
		}
	})
}
