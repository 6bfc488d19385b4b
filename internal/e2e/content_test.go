package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

const picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQAY3Y2wAAAAAElFTkSuQmCC"

// sendContent accepts a message that holds something and returns it.
func (s *system) sendContent(instance, to, part string, content any) map[string]any {
	s.tb.Helper()
	status, body := s.call(http.MethodPost, "/v1/messages", map[string]any{"instance": instance, "to": to, part: content})
	if status != http.StatusAccepted {
		s.tb.Fatalf("send %s: %d %v", part, status, body)
	}
	return body
}

// contents are one of each kind that both gateways send. file is where a document is.
func contents(file string, reactTo any) []struct {
	part, kind string
	content    map[string]any
} {
	return []struct {
		part, kind string
		content    map[string]any
	}{
		{"media", "image", map[string]any{"kind": "image", "base64": picture, "mime_type": "image/png", "caption": "Su pedido"}},
		{"media", "document", map[string]any{"kind": "document", "url": file, "caption": "Factura"}},
		{"location", "location", map[string]any{"latitude": 19.4326, "longitude": -99.1332, "name": "Zócalo", "address": "Centro"}},
		{"reaction", "reaction", map[string]any{"to": reactTo, "emoji": "👍"}},
		{"interactive", "interactive", map[string]any{"kind": "buttons", "body": "¿Confirma?", "buttons": []any{map[string]any{"id": "yes", "title": "Sí"}}}},
	}
}

func TestEveryContentArrivesInOrder(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	first := s.send("sales", "+5215550000001", "Hola")
	s.awaitStatus(first["id"], "accepted")

	want := []string{"text"}
	var ids []any
	pdf := fileServer(t, map[string][]byte{"/factura.pdf": []byte("%PDF-1.7 factura")})
	for _, c := range contents(pdf+"/factura.pdf", first["id"]) {
		m := s.sendContent("sales", "+5215550000001", c.part, c.content)
		if m["type"] != c.kind {
			t.Errorf("%s was accepted as %v", c.kind, m["type"])
		}
		ids, want = append(ids, m["id"]), append(want, c.kind)
	}
	got := []string{"text"}
	for i, id := range ids {
		m := s.awaitStatus(id, "accepted", "failed")
		if m["status"] != "accepted" {
			t.Errorf("%s: %v", want[i+1], m["error"])
		}
		got = append(got, m["type"].(string))
		shown, _ := m[contents("", "")[i].part].(map[string]any)
		if shown == nil || shown["base64"] != nil {
			t.Errorf("%s is shown as %v", want[i+1], m)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	log := s.gateway.Sent()
	if len(log) != len(want) {
		t.Fatalf("the gateway took %d messages, want %d", len(log), len(want))
	}
	if m := log[1]; m.Text != "Su pedido" || !strings.Contains(string(m.Request), picture) {
		t.Errorf("the picture went as %s", m.Request)
	}
	if m := log[4]; m.Text != "👍" || !strings.Contains(string(m.Request), *log[0].ID) {
		t.Errorf("the reaction went as %s", m.Request)
	}
}

func TestContentsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, noWorkers: true})
	s.instance("sales")
	tests := map[string]struct {
		body map[string]any
		code string
	}{
		"two contents":            {map[string]any{"text": "Hola", "location": map[string]any{"latitude": 1, "longitude": 1}}, "several_contents"},
		"a file that is nowhere":  {map[string]any{"media": map[string]any{"kind": "image"}}, "invalid_content"},
		"a reaction to nothing":   {map[string]any{"reaction": map[string]any{"to": "0199c2f4-0000-7000-8000-000000000001", "emoji": "x"}}, "unknown_reply_to"},
		"a template without form": {map[string]any{"template": []any{}}, "invalid_content"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.body["instance"], tt.body["to"] = "sales", "+5215550000001"
			status, body := s.call(http.MethodPost, "/v1/messages", tt.body)
			if status != http.StatusUnprocessableEntity || body["code"] != tt.code {
				t.Errorf("%d %v, want 422 %s", status, body, tt.code)
			}
		})
	}
}

func TestWhatPeopleSendIsShownInOneWay(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	receive := func(in sandbox.Inbound) string {
		t.Helper()
		in.Instance, in.From = "sales", "5215550000001"
		ids, err := s.gateway.Receive(in)
		if err != nil {
			t.Fatal(err)
		}
		return ids[0]
	}
	one := func(what string, is func(map[string]any) bool) (found map[string]any) {
		t.Helper()
		eventually(t, what, func() bool {
			for _, m := range s.list("/v1/messages?instance=sales&direction=inbound") {
				if is(m) {
					found = m
					return true
				}
			}
			return false
		})
		return found
	}
	receive(sandbox.Inbound{Message: json.RawMessage(`{"locationMessage":{"degreesLatitude":19.4,"degreesLongitude":-99.1,"name":"Zócalo"}}`)})
	m := one("the place is there", func(m map[string]any) bool { return m["type"] == "location" })
	if place, _ := m["location"].(map[string]any); place["latitude"] != 19.4 || place["name"] != "Zócalo" {
		t.Errorf("location = %v", m["location"])
	}
	text := receive(sandbox.Inbound{Text: "Mañana a las 5"})
	one("the text is there", func(m map[string]any) bool { return m["text"] == "Mañana a las 5" })
	receive(sandbox.Inbound{Edits: text, Text: "Mañana a las 6"})
	m = one("the text is another", func(m map[string]any) bool { return m["text"] == "Mañana a las 6" })
	if m["edited_at"] == nil {
		t.Errorf("edited = %v", m)
	}
	receive(sandbox.Inbound{Deletes: text})
	one("the text was deleted", func(m map[string]any) bool { return m["deleted_at"] != nil })
}

// cloud makes an instance on the sandbox's Cloud API.
func (s *system) cloud(name string) {
	s.tb.Helper()
	status, body := s.call(http.MethodPut, "/v1/instances/"+name, map[string]any{
		"gateway": "cloud", "base_url": s.sandbox + "/graph/v23.0", "phone_number_id": "106540352242922", "credential": "access-token",
		"app_secret": "app-secret", "verify_token": "verify-token",
	})
	if status != http.StatusCreated {
		s.tb.Fatalf("make instance: %d %v", status, body)
	}
	err := s.gateway.RegisterNumber(s.tb.Context(), sandbox.CloudNumber{
		PhoneNumberID: "106540352242922", Instance: name, Token: "access-token", AppSecret: "app-secret", VerifyToken: "verify-token",
		Callback: s.api.addr["public"],
	})
	if err != nil {
		s.tb.Fatal(err) // the verification is among what can fail
	}
}

func TestAConversationOnTheCloudAPI(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.cloud("support")
	first := s.send("support", "+5215550000001", "Hola")
	s.awaitStatus(first["id"], "delivered", "read")
	pdf := fileServer(t, map[string][]byte{"/factura.pdf": []byte("%PDF-1.7 factura")})
	for i, c := range contents(pdf+"/factura.pdf", first["id"]) {
		m := s.sendContent("support", "+5215550000001", c.part, c.content)
		s.awaitStatus(m["id"], "accepted", "sent", "delivered", "read")
		entry := s.gateway.Sent()[i+1].Cloud
		if entry == nil || entry.CallbackData != m["id"] {
			t.Errorf("%s went as %+v", c.kind, entry)
		}
	}
	template := s.sendContent("support", "+5215550000001", "template", map[string]any{"name": "order_paid", "language": map[string]any{"code": "es_MX"}})
	s.awaitStatus(template["id"], "accepted", "sent", "delivered", "read")

	if _, err := s.gateway.ReceiveOnCloud(sandbox.CloudInbound{
		PhoneNumberID: "106540352242922", From: "5215550000001", Name: "Ana", Message: json.RawMessage(`{"type":"text","text":{"body":"¿Qué tal? ñ/é"}}`),
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer is there", func() bool {
		list := s.list("/v1/messages?instance=support&direction=inbound")
		return len(list) == 1 && list[0]["text"] == "¿Qué tal? ñ/é" && list[0]["chat"] == "5215550000001@s.whatsapp.net"
	})
}

func TestACloudWebhookMustBeSigned(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	s.cloud("support")
	body := map[string]any{"object": "whatsapp_business_account", "entry": []any{}}
	for _, signature := range []string{"", "sha256=", "sha256=" + strings.Repeat("0", 64)} {
		status, _, answer := s.request(http.MethodPost, "/webhooks/cloud/support", body, http.Header{"X-Hub-Signature-256": {signature}})
		if status != http.StatusUnauthorized {
			t.Errorf("signature %q: %d %v, want 401", signature, status, answer)
		}
	}
	status, _, _ := s.request(http.MethodGet, "/webhooks/cloud/support?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong", nil, nil)
	if status != http.StatusForbidden {
		t.Errorf("verification with a wrong token: %d, want 403", status)
	}
}

// Whoever runs an app speaks for the numbers of that app, and for no others.
func TestAnAppTellsOfItsOwnNumbersOnly(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, app := range map[string]struct{ number, secret string }{
		"one": {"1001", "secret-of-the-app"}, "two": {"1002", "secret-of-the-app"}, "other": {"1003", "secret-of-another-app"},
	} {
		status, body := s.call(http.MethodPut, "/v1/instances/"+name, map[string]any{
			"gateway": "cloud", "phone_number_id": app.number, "app_secret": app.secret,
		})
		if status != http.StatusCreated {
			t.Fatalf("make instance: %d %v", status, body)
		}
	}
	tell := func(number, text string) {
		t.Helper()
		body := map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{"id": "1", "changes": []any{map[string]any{
			"field": "messages", "value": map[string]any{
				"messaging_product": "whatsapp", "metadata": map[string]any{"display_phone_number": "15550000001", "phone_number_id": number},
				"messages": []any{map[string]any{"from": "5215550000001", "id": "wamid." + text, "timestamp": "1790000000", "type": "text", "text": map[string]any{"body": text}}},
			},
		}}}}}
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte("secret-of-the-app"))
		mac.Write(raw)
		status, _, answer := s.request(http.MethodPost, "/webhooks/cloud/one", body, http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}})
		if status != http.StatusOK {
			t.Fatalf("webhook: %d %v", status, answer)
		}
	}
	tell("1003", "forged")
	tell("1001", "own")
	tell("1002", "neighbour")
	heard := func(instance string) int { return len(s.list("/v1/messages?direction=inbound&instance=" + instance)) }
	eventually(t, "the app's numbers heard", func() bool { return heard("one") == 1 && heard("two") == 1 })
	pool := testenv.PoolOn(t, s.database)
	eventually(t, "the forged event is kept", func() bool {
		var n int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gateway_events WHERE state = 'quarantined' AND reason = 'unknown_phone_number_id'").Scan(&n)
		return err == nil && n == 1
	})
	if n := heard("other"); n != 0 {
		t.Errorf("another app's number heard %d messages, want none", n)
	}
}

func TestTheCloudAPISettlesADoubtByItsReports(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.cloud("support")
	f := sandbox.DefaultFaults()
	f.Reset, f.ResetDelivers = 1, 1
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	m := s.send("support", "+5215550000001", "Hola")
	got := s.awaitStatus(m["id"], "accepted", "sent", "delivered", "read")
	steps, _ := json.Marshal(got["history"])
	if !strings.Contains(string(steps), `"unknown"`) || len(s.gateway.Sent()) != 1 {
		t.Errorf("history = %s after %d calls, want a doubt and one call", steps, len(s.gateway.Sent()))
	}
}
