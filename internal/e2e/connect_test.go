package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// One command sets an instance up; messages go both ways after that.
func TestAnInstanceThatWasConnectedByTheCommandTalks(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true}) // no webhooks but those that the command sets
	picture := filepath.Join(t.TempDir(), "qr.png")
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	connect := exec.CommandContext(t.Context(), filepath.Join(dir, "msgorch"), "instances", "connect", "sales", "-o", "json", "--qr-file", picture)
	connect.Env, connect.Dir = append(s.env, "PUBLIC_URL="+s.api.addr["public"]), t.TempDir()
	var stdout, stderr bytes.Buffer
	connect.Stdout, connect.Stderr = &stdout, &stderr
	if err := connect.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is a code to scan", func() bool { _, err := os.Stat(picture); return err == nil })
	if status, _, _ := request(t, http.MethodPost, s.sandbox+"/sandbox/session", map[string]any{"instance": "sales", "do": "scan"}, nil); status != http.StatusOK {
		t.Fatalf("scan: %d", status)
	}
	if err := connect.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var done struct{ Connection, Number string }
	if err := json.Unmarshal(stdout.Bytes(), &done); err != nil || done.Connection != "open" || done.Number == "" {
		t.Errorf("%v: %s", err, &stdout)
	}
	eventually(t, "we have heard that it is open", func() bool {
		_, i := s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["connection"] == "open"
	})

	if _, err := s.gateway.Receive(sandbox.Inbound{Instance: "sales", From: "5215550000001", Text: "¿Qué tal?"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was written to us is here", func() bool { return len(s.list("/v1/messages?instance=sales&direction=inbound")) == 1 })
	sent := s.send("sales", "+5215550000001", "Bien")
	s.awaitStatus(sent["id"], "read")

	for _, words := range []string{stdout.String(), stderr.String(), s.api.output(), s.workers[0].output()} {
		if strings.Contains(words, "2@") || strings.Contains(words, gatewayKey) {
			t.Errorf("a secret is shown: %s", words)
		}
	}
}

// A gateway repeats a webhook with the token that it had when it first tried.
func TestTheWebhookTokenOfBeforeIsStillTaken(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, noWorkers: true})
	s.instance("tienda-demo")
	err := db.New(testenv.PoolOn(t, s.database)).RotateWebhookToken(t.Context(), db.RotateWebhookTokenParams{
		Name: "tienda-demo", WebhookTokenHash: apikey.Hash("the new one"), PreviousWebhookTokenHash: apikey.Hash("the one before"),
	})
	if err != nil {
		t.Fatal(err)
	}
	body := corpus(t, "evolution")["messages.upsert.conversation"]
	for token, want := range map[string]int{"the new one": http.StatusOK, "the one before": http.StatusOK, webhookToken: http.StatusUnauthorized, "": http.StatusUnauthorized} {
		status, _, _ := s.request(http.MethodPost, "/webhooks/evolution/tienda-demo", body, http.Header{"Authorization": {"Bearer " + token}})
		if status != want {
			t.Errorf("with %q: %d, want %d", token, status, want)
		}
	}
}
