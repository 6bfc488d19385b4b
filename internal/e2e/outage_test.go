package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/migrations"
)

// startOn is start on servers that the test may end.
func startOn(t *testing.T, v *servers) *system {
	t.Helper()
	if err := migrations.Up(t.Context(), v.database); err != nil {
		t.Fatal(err)
	}
	s := &system{tb: t, database: v.database, redis: v.cache, gateway: sandbox.New(sandbox.Options{APIKey: gatewayKey, Seed: 1})}
	srv := httptest.NewServer(s.gateway)
	t.Cleanup(func() { s.gateway.Close(); srv.Close() })
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DATABASE_URL=" + v.database, "REDIS_URL=" + v.cache,
		"LISTEN_PORT=0", "ADMIN_ADDR=127.0.0.1:0", "WORKER_ADDR=127.0.0.1:0", "API_TOKEN=" + apiToken, "WEBHOOK_TOKEN=" + webhookToken,
		"EVOLUTION_BASE_URL=" + srv.URL, "EVOLUTION_API_KEY=" + gatewayKey, "ALLOW_PRIVATE_TARGETS=true", "LOG_FORMAT=json",
	}
	s.startAPI()
	s.startWorker()
	s.instance("sales")
	return s
}

func inboundEvent(n int) []byte {
	return fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":{"key":{"remoteJid":"5215550000001@s.whatsapp.net","fromMe":false,"id":"IN%d"},"message":{"conversation":"hola"},"messageTimestamp":%d}}`, n, 1763880000+n)
}

func TestEverythingIsAcceptedWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	v := startServers(t)
	s := startOn(t, v)
	s.awaitStatus(s.send("sales", "+5215550000001", "before")["id"], "accepted")
	v.killRedis()
	var ids []any
	for i := range 5 {
		ids = append(ids, s.send("sales", fmt.Sprintf("+52155500%05d", i), "meanwhile")["id"])
		if status, answer := s.webhook("/webhooks/evolution/sales", inboundEvent(i)); status != http.StatusOK || answer["status"] != "accepted" {
			t.Errorf("webhook without Redis: %d %v", status, answer)
		}
	}
	if status, _, body := s.request(http.MethodGet, "/readyz", nil, nil); status != http.StatusOK || body["parts"].(map[string]any)["redis"] != "down" {
		t.Errorf("readyz without Redis: %d %v", status, body)
	}
	v.start()
	back := time.Now()
	for _, id := range ids {
		s.awaitStatus(id, "accepted")
	}
	eventually(t, "the events are applied", func() bool { return len(s.list("/v1/messages?direction=inbound")) == 5 })
	t.Logf("everything had moved %s after Redis was back", time.Since(back).Round(time.Millisecond))
}

func TestNothingIsAcceptedWhilePostgreSQLIsAway(t *testing.T) {
	t.Parallel()
	v := startServers(t)
	s := startOn(t, v)
	first := s.send("sales", "+5215550000001", "before")["id"]
	s.awaitStatus(first, "accepted")
	v.crashPostgres()
	body := map[string]any{"instance": "sales", "to": "+5215550000001", "text": "meanwhile"}
	key := http.Header{"Authorization": {"Bearer " + apiToken}, "Idempotency-Key": {"k1"}}
	status, header, p := s.request(http.MethodPost, "/v1/messages", body, key)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || p["code"] != "database_unavailable" {
		t.Errorf("send without PostgreSQL: %d %v %v", status, header, p)
	}
	status, header, _ = s.request(http.MethodPost, "/webhooks/evolution/sales", inboundEvent(1), http.Header{"Authorization": {"Bearer " + webhookToken}})
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("webhook without PostgreSQL: %d %v", status, header)
	}
	if status, _, _ := s.request(http.MethodGet, "/readyz", nil, nil); status != http.StatusServiceUnavailable {
		t.Errorf("readyz without PostgreSQL: %d", status)
	}
	if status, _, _ := s.request(http.MethodGet, "/livez", nil, nil); status != http.StatusOK {
		t.Errorf("livez without PostgreSQL: %d", status)
	}
	v.start()
	var id any
	eventually(t, "the same request is accepted", func() bool {
		status, _, answer := s.request(http.MethodPost, "/v1/messages", body, key)
		id = answer["id"]
		return status == http.StatusAccepted
	})
	s.awaitStatus(id, "accepted")
	var texts []string
	for _, m := range s.gateway.Sent() {
		texts = append(texts, m.Text)
	}
	if diff := cmp.Diff([]string{"before", "meanwhile"}, texts); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// Priorities order chats, never the messages of one chat.
func TestAnUrgentMessageDoesNotPassItsOwnChat(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, noWorkers: true})
	s.instance("sales")
	for i, priority := range []string{"bulk", "default", "critical", "bulk", "critical"} {
		if status, p := s.call(http.MethodPost, "/v1/messages", map[string]any{"instance": "sales", "to": "+5215550000001", "text": fmt.Sprint(i), "priority": priority}); status != http.StatusAccepted {
			t.Fatalf("send: %d %v", status, p)
		}
	}
	s.startWorker()
	eventually(t, "all are sent", func() bool { return len(s.gateway.Sent()) == 5 })
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, delivered(s)["5215550000001@s.whatsapp.net"]); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
}
