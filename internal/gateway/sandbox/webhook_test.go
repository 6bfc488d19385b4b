package sandbox_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestAcceptedSendsAreReportedByWebhook(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url + "/webhooks/evolution/", WebhookToken: "wt"})

	a := g.call(t, http.MethodPost, "/message/sendText/north%20shop", sendBody("5215550001001", "hola"))

	got := map[string]webhook{}
	for _, h := range sink.take(t, 3) {
		got[h.text(t, "event")+h.text(t, "data", "status")] = h
		if h.path != "/webhooks/evolution/north%20shop" || h.header.Get("Authorization") != "Bearer wt" {
			t.Errorf("path %q, Authorization %q", h.path, h.header.Get("Authorization"))
		}
		if name := h.text(t, "instance"); name != "north shop" {
			t.Errorf("instance = %q", name)
		}
	}
	id := text(t, a.body, "key", "id")
	for name, want := range map[string]string{
		"send.messagePENDING":         "send.message.text",
		"messages.updateDELIVERY_ACK": "messages.update.delivery_ack",
		"messages.updateREAD":         "messages.update.read",
	} {
		h, ok := got[name]
		if !ok {
			t.Errorf("no %s", name)
			continue
		}
		if diff := cmp.Diff(shape(t, example(t, want)), shape(t, h.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := or(h.text(t, "data", "keyId"), h.text(t, "data", "key", "id")); got != id {
			t.Errorf("%s is about %q, want %q", name, got, id)
		}
	}
}

func TestGroupsReportNoReading(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"ack_delay_ms":[0,0],"read_delay_ms":[0,0]}`)
	g.send(t, "120363000000000001@g.us", "to all")
	g.send(t, "5215550001001", "to one")
	for _, h := range sink.take(t, 4) {
		if h.text(t, "event") == "messages.update" && h.text(t, "data", "remoteJid") == "120363000000000001@g.us" {
			t.Errorf("got %s", h.body)
		}
	}
}

func TestTheWebhookCanComeBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"status_before_answer":1,"ack_delay_ms":[600000,600000],"read_delay_ms":[600000,600000]}`)
	g.send(t, "5215550001001", "hola")
	if len(sink.got) != 1 {
		t.Errorf("%d webhooks by the time of the answer, want 1", len(sink.got))
	}
}

func TestTheWebhookCanComeAfterTheAnswer(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	sink := newSink(t, func() int { <-answered; return http.StatusOK })
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"status_before_answer":0}`)
	g.send(t, "5215550001001", "hola") // would never return if it waited for the sink
	close(answered)
	sink.take(t, 3)
}

func TestADuplicateRepeatsByteForByte(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"webhook_duplicate":1}`)
	g.send(t, "5215550001001", "hola")
	seen := map[string]int{}
	for _, h := range sink.take(t, 6) {
		seen[string(h.body)]++
	}
	for body, times := range seen {
		if times != 2 {
			t.Errorf("%d times, want 2: %s", times, body)
		}
	}
}

func TestAnInstanceThatIsNoLongerClosedSaysSo(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.fault(t, `{"closed_instances":["sales"]}`)
	state := g.call(t, http.MethodGet, "/instance/connectionState/sales", "")
	if got := text(t, state.body, "instance", "state"); got != "close" {
		t.Errorf("state = %q, want close", got)
	}

	g.call(t, http.MethodDelete, "/sandbox/faults", "")

	h := sink.take(t, 1)[0]
	if diff := cmp.Diff(shape(t, example(t, "connection.update.open")), shape(t, h.body)); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}
	if got := h.text(t, "data", "state"); got != "open" {
		t.Errorf("state = %q, want open", got)
	}
}

func TestAnInstanceCanHaveItsOwnWebhook(t *testing.T) {
	t.Parallel()
	common, own := newSink(t, nil), newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: common.url})
	set := g.call(t, http.MethodPost, "/webhook/set/sales", `{"webhook":{"enabled":true,"url":"`+own.url+
		`/in","headers":{"X-Key":"v"},"byEvents":true,"events":["SEND_MESSAGE"]}}`)
	if set.status != http.StatusCreated {
		t.Fatalf("webhook/set: %d %s", set.status, set.body)
	}
	found := g.call(t, http.MethodGet, "/webhook/find/sales", "")
	if diff := cmp.Diff(string(set.body), string(found.body)); diff != "" {
		t.Errorf("find differs from set:\n%s", diff)
	}

	g.send(t, "5215550001001", "hola")
	g.call(t, http.MethodPost, "/message/sendText/other", sendBody("5215550001001", "hola"))

	if h := own.take(t, 1)[0]; h.path != "/in/send-message" || h.header.Get("X-Key") != "v" {
		t.Errorf("path %q, X-Key %q", h.path, h.header.Get("X-Key"))
	}
	for _, h := range common.take(t, 3) {
		if name := h.text(t, "instance"); name != "other" {
			t.Errorf("the common webhook heard of %q", name)
		}
	}
}

func TestTheWebhookCanChangeWhileRunning(t *testing.T) {
	t.Parallel()
	first, second := newSink(t, nil), newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: first.url})
	g.send(t, "5215550001001", "one")
	first.take(t, 3)
	g.SetWebhook(second.url, "")
	g.send(t, "5215550001001", "two")
	second.take(t, 3)
	if len(first.got) != 0 {
		t.Error("the first receiver still hears")
	}
}

func TestEveryReportArrivesThoughTheReceiverFails(t *testing.T) {
	t.Parallel()
	const sends, perSend = 300, 3
	var posts atomic.Int64
	sink := newSink(t, func() int {
		if posts.Add(1)%4 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url, WebhookBackoff: time.Millisecond, WebhookAttempts: 50})
	g.fault(t, `{"webhook_duplicate":0.2,"webhook_reorder":0.2,"webhook_reorder_ms":[1,20],"reset":0.1,"no_key_id":0.1,
		"ack_delay_ms":[0,10],"read_delay_ms":[0,10]}`)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			for range sends / 10 {
				_, _ = g.try(t, http.MethodPost, "/message/sendText/sales", sendBody("5215550001001", "hola"))
			}
		})
	}
	group.Wait()

	due := map[string]bool{}
	for _, e := range g.Sent() {
		if e.Delivered {
			for _, status := range []string{"PENDING", "DELIVERY_ACK", "READ"} {
				due[*e.ID+status] = true
			}
		}
	}
	if len(g.Sent()) != sends || len(due) < sends*perSend/2 {
		t.Fatalf("%d sent, %d reports due", len(g.Sent()), len(due))
	}
	for len(due) > 0 {
		h := sink.take(t, 1)[0]
		if h.status == http.StatusOK {
			delete(due, or(h.text(t, "data", "keyId"), h.text(t, "data", "key", "id"))+h.text(t, "data", "status"))
		}
	}
}
