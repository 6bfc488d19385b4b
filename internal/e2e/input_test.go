package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/testenv"
)

func TestBadInputGetsAReasonAndNoRow(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true, env: []string{"MAX_BODY_BYTES=300000"}})
	s.instance("sales")
	message := func(field string, value any) []byte {
		m := map[string]any{"instance": "sales", "to": "+5215550000001", "text": "Hola"}
		if value == nil {
			delete(m, field)
		} else {
			m[field] = value
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := []struct {
		name   string
		body   []byte
		status int
		code   string
		field  string
	}{
		{"no body", nil, 400, "malformed_request", ""},
		{"not JSON", []byte(`{"instance":`), 400, "malformed_request", ""},
		{"two documents", []byte(`{"instance":"sales","to":"5215550000001","text":"a"}{}`), 400, "malformed_request", ""},
		{"an array", []byte(`[]`), 422, "invalid_request", "body"},
		{"unknown field", message("txet", "Hola"), 422, "invalid_request", "body.txet"},
		{"another case of a field", message("Text", "Hola"), 422, "invalid_request", "body.Text"},
		{"no content", message("text", nil), 422, "missing_content", "body.text"},
		{"several contents", message("location", map[string]any{"latitude": 1, "longitude": 2}), 422, "several_contents", "body.text"},
		{"empty text", message("text", ""), 422, "invalid_request", "body.text"},
		{"a text too long", message("text", strings.Repeat("ñ", 65_537)), 422, "invalid_request", "body.text"},
		{"NUL in the text", message("text", "a\x00b"), 422, "invalid_text", "body.text"},
		{"a lone surrogate", []byte(`{"instance":"sales","to":"5215550000001","text":"a\ud83d"}`), 422, "invalid_text", "body.text"},
		{"a lone surrogate in the metadata", []byte(`{"instance":"sales","to":"5215550000001","text":"a","metadata":{"a":"\udc00"}}`), 422, "invalid_text", "body.metadata"},
		{"bytes that are not UTF-8", []byte("{\"instance\":\"sales\",\"to\":\"5215550000001\",\"text\":\"a\xff\"}"), 422, "invalid_text", "body.text"},
		{"NUL in the metadata", message("metadata", map[string]any{"a": "\x00"}), 422, "invalid_metadata", "body.metadata"},
		{"a number that is none", message("to", "Ana"), 422, "invalid_number", "body.to"},
		{"a JID that is none", message("to", "5215550000001@example.com"), 422, "invalid_jid", "body.to"},
		{"no recipient", message("to", nil), 422, "invalid_request", "body"},
		{"an unknown instance", message("instance", "nobody"), 422, "unknown_instance", "body.instance"},
		{"an instance that is no name", message("instance", "a/b"), 422, "invalid_instance", "body.instance"},
		{"an unknown priority", message("priority", "urgent"), 422, "invalid_request", "body.priority"},
		{"a time in the past", message("send_at", "2020-01-01T00:00:00Z"), 422, "invalid_time", "body.send_at"},
		{"a time too far ahead", message("send_at", "2090-01-01T00:00:00Z"), 422, "invalid_time", "body.send_at"},
		{"an expiry in the past", message("expires_at", "2020-01-01T00:00:00Z"), 422, "invalid_time", "body.expires_at"},
		{"a time that is none", message("send_at", "tomorrow"), 422, "invalid_request", "body.send_at"},
		{"a reply to nothing", message("reply_to", "0199aaaa-0000-7000-8000-000000000000"), 422, "unknown_reply_to", "body.reply_to"},
		{"a body over the limit", bytes.Repeat([]byte("x"), 300_001), 413, "body_too_large", ""},
	}
	for _, tt := range tests {
		status, header, p := s.request(http.MethodPost, "/v1/messages", tt.body, http.Header{"Authorization": {"Bearer " + apiToken}})
		if status != tt.status || p["code"] != tt.code || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v, want %d %s", tt.name, status, p, tt.status, tt.code)
			continue
		}
		if tt.field != "" && !names(p, tt.field) {
			t.Errorf("%s: %v does not name %s", tt.name, p, tt.field)
		}
		if text, _ := json.Marshal(p); strings.Contains(string(text), "Hola") || strings.Contains(string(text), "Ana") {
			t.Errorf("%s: the problem repeats the request: %s", tt.name, text)
		}
	}
	var rows int
	if err := testenv.PoolOn(t, s.database).QueryRow(t.Context(), "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM chats)").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 0 {
		t.Errorf("%d rows were stored", rows)
	}
}

func names(problem map[string]any, field string) bool {
	list, _ := problem["errors"].([]any)
	for _, e := range list {
		if e.(map[string]any)["field"] == field {
			return true
		}
	}
	return false
}

func TestKeysOpenWhatTheirScopesAndInstancesSay(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	s.instance("sales")
	s.instance("support")
	reader, sender := makeKey(t, s, []string{"read"}, []string{"sales"}), makeKey(t, s, []string{"send"}, nil)
	body := map[string]any{"instance": "sales", "to": "+5215550000001", "text": "Hola"}
	tests := []struct {
		name, method, path, key string
		body                    any
		status                  int
		code                    any
	}{
		{"no key", http.MethodGet, "/v1/messages", "", nil, 401, "missing_key"},
		{"a wrong key", http.MethodGet, "/v1/messages", "mo_wrong", nil, 401, "invalid_key"},
		{"a key with the scope", http.MethodGet, "/v1/messages?instance=sales", reader, nil, 200, nil},
		{"a key without the scope", http.MethodPost, "/v1/messages", reader, body, 403, "missing_scope"},
		{"another instance", http.MethodGet, "/v1/messages?instance=support", reader, nil, 403, "instance_forbidden"},
		{"another instance's chats", http.MethodGet, "/v1/instances/support/chats", reader, nil, 403, "instance_forbidden"},
		{"a key for sending", http.MethodPost, "/v1/messages", sender, body, 202, nil},
		{"managing with it", http.MethodPut, "/v1/instances/x", sender, map[string]any{"gateway": "evolution"}, 403, "missing_scope"},
	}
	for _, tt := range tests {
		headers := http.Header{}
		if tt.key != "" {
			headers.Set("Authorization", "Bearer "+tt.key)
		}
		if status, _, p := s.request(tt.method, tt.path, tt.body, headers); status != tt.status || p["code"] != tt.code {
			t.Errorf("%s: %d %v, want %d %v", tt.name, status, p, tt.status, tt.code)
		}
	}
	if _, err := testenv.PoolOn(t, s.database).Exec(t.Context(), "UPDATE api_keys SET revoked_at = now()"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := s.request(http.MethodGet, "/v1/messages", nil, http.Header{"Authorization": {"Bearer " + reader}}); status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d, want 401", status)
	}
}

func TestWebhooksNeedTheTokenOfTheirInstance(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	const own = "the-own-token-of-sales"
	if status, p := s.call(http.MethodPut, "/v1/instances/sales", map[string]any{"gateway": "evolution", "webhook_token": own, "credential": "a-gateway-key"}); status != http.StatusCreated {
		t.Fatalf("make instance: %d %v", status, p)
	}
	if _, p := s.call(http.MethodGet, "/v1/instances/sales", nil); p["has_credential"] != true || p["has_webhook_token"] != true || p["credential"] != nil {
		t.Errorf("instance = %v", p)
	}
	event := func(instance string) []byte {
		return []byte(`{"event":"connection.update","instance":"` + instance + `","data":{"instance":"` + instance + `","state":"open"}}`)
	}
	tests := []struct {
		name, path, token string
		body              []byte
		status            int
		code              any
	}{
		{"no token", "/webhooks/evolution/sales", "", event("sales"), 401, "invalid_webhook_token"},
		{"the default token where it has its own", "/webhooks/evolution/sales", webhookToken, event("sales"), 401, "invalid_webhook_token"},
		{"its own", "/webhooks/evolution/sales", own, event("sales"), 200, nil},
		{"its own, without the name in the path", "/webhook", own, event("sales"), 200, nil},
		{"its own for another", "/webhooks/evolution/other", own, event("other"), 401, "invalid_webhook_token"},
		{"the default for a new name", "/webhooks/evolution/other", webhookToken, event("other"), 200, nil},
		{"a body that names another", "/webhooks/evolution/sales", own, event("other"), 400, "instance_mismatch"},
		{"a name that is none", "/webhook", webhookToken, event("a/b"), 400, "invalid_instance"},
		{"a wrong token and a bad body", "/webhooks/evolution/sales", "x", []byte("nonsense"), 401, "invalid_webhook_token"},
	}
	for _, tt := range tests {
		headers := http.Header{}
		if tt.token != "" {
			headers.Set("Authorization", "Bearer "+tt.token)
		}
		if status, _, p := s.request(http.MethodPost, tt.path, tt.body, headers); status != tt.status || p["code"] != tt.code {
			t.Errorf("%s: %d %v, want %d %v", tt.name, status, p, tt.status, tt.code)
		}
	}
	if status, answer := s.webhook("/webhooks/evolution/other", event("other")); status != http.StatusOK || answer["status"] != "duplicate" {
		t.Errorf("an exact repeat: %d %v", status, answer)
	}
	if _, p := s.call(http.MethodGet, "/v1/instances/other", nil); p["name"] != "other" {
		t.Errorf("the new name made no instance: %v", p)
	}
}
