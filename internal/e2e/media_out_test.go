package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// fileServer serves files by their paths and returns its address. One below
// /flaky/ comes at the third request only.
func fileServer(t *testing.T, files map[string][]byte) string {
	t.Helper()
	var flaky atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, isFlaky := strings.CutPrefix(r.URL.Path, "/flaky")
		if isFlaky && flaky.Add(1) < 3 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		file, ok := files[path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-lies")
		_, _ = w.Write(file)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAFileIsFetchedFromItsURLAndSent(t *testing.T) {
	t.Parallel()
	file := photo(t, 3<<20)
	at := fileServer(t, map[string][]byte{"/foto.png": file})
	t.Run("evolution", func(t *testing.T) {
		t.Parallel()
		s := start(t, options{quiet: true})
		s.instance("sales")
		for _, url := range []string{at + "/foto.png", at + "/flaky/foto.png"} {
			m := s.sendContent("sales", "+5215550000001", "media", map[string]any{"kind": "image", "url": url})
			m = s.awaitStatus(m["id"], "accepted", "failed")
			sent := s.gateway.Sent()
			if m["status"] != "accepted" || len(sent) == 0 {
				t.Fatalf("it is %v: %v", m["status"], m["error"])
			}
			at := gateway.Account{Instance: "sales", BaseURL: s.sandbox, Credential: gatewayKey}
			arrived, mimeType, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), at, *sent[len(sent)-1].ID)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(arrived); !bytes.Equal(file, got) || mimeType != "image/png" || err != nil {
				t.Errorf("%d bytes of %s arrived, %v, want the file itself", len(got), mimeType, err)
			}
			_ = arrived.Close()
		}
	})
	t.Run("cloud", func(t *testing.T) {
		t.Parallel()
		s := start(t, options{})
		s.cloud("support")
		first := s.send("support", "+5215550000001", "Hola")
		s.awaitStatus(first["id"], "delivered", "read")
		m := s.sendContent("support", "+5215550000001", "media", map[string]any{"kind": "document", "url": at + "/foto.png"})
		s.awaitStatus(m["id"], "accepted", "sent", "delivered", "read")
		var request struct {
			Document struct{ ID, Link, FileName string }
		}
		sent := s.gateway.Sent()
		if err := json.Unmarshal(sent[len(sent)-1].Cloud.Request, &request); err != nil {
			t.Fatal(err)
		}
		arrived, mimeType, _ := s.gateway.CloudFile(request.Document.ID)
		if !bytes.Equal(file, arrived) || mimeType != "image/png" || request.Document.Link != "" || request.Document.FileName != "foto.png" {
			t.Errorf("%d bytes of %s arrived, and the message is %+v", len(arrived), mimeType, request)
		}
	})
}

func TestAFileThatCannotBeFetchedFailsTheMessageAndSendsNothing(t *testing.T) {
	t.Parallel()
	at := fileServer(t, map[string][]byte{"/large.png": photo(t, 2<<20), "/empty.png": {}})
	s := start(t, options{quiet: true, env: []string{"MAX_MEDIA_BYTES=1500000"}})
	s.instance("sales")
	for path, code := range map[string]string{"/nothing.png": "media_not_found", "/large.png": "media_too_large", "/empty.png": "media_empty"} {
		m := s.sendContent("sales", "+5215550000001", "media", map[string]any{"kind": "image", "url": at + path})
		m = s.awaitStatus(m["id"], "failed", "accepted")
		why, _ := m["error"].(map[string]any)
		if m["status"] != "failed" || why["code"] != code {
			t.Errorf("%s: %v, %v, want failed of %s", path, m["status"], why, code)
		}
	}
	if sent := s.gateway.Sent(); len(sent) > 0 {
		t.Errorf("the gateway was given %d messages", len(sent))
	}
}
