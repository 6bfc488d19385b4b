package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestABatchAnswersForEachMessage(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	message := func(to, text string) map[string]any {
		return map[string]any{"instance": "sales", "to": to, "text": text}
	}
	batch := map[string]any{"messages": []any{
		message("+5215550000001", "uno"),
		message("Ana", "mal"),
		map[string]any{"instance": "sales", "to": "+5215550000001", "txet": "mal"},
		message("+5215550000001", "dos"),
		map[string]any{"instance": "nobody", "to": "+5215550000001", "text": "mal"},
		map[string]any{"instance": "sales", "to": "+5215550000001"},
		"mal",
		message("+5215550000001", "tres"),
	}}
	headers := http.Header{"Authorization": {"Bearer " + apiToken}, "Idempotency-Key": {"b1"}}
	status, _, answer := s.request(http.MethodPost, "/v1/messages/batch", batch, headers)
	if status != http.StatusAccepted {
		t.Fatalf("batch: %d %v", status, answer)
	}
	var got []string
	for _, r := range answer["results"].([]any) {
		code := "ok"
		if e, bad := r.(map[string]any)["error"]; bad {
			code = e.(map[string]any)["code"].(string)
		}
		got = append(got, code)
	}
	want := []string{"ok", "invalid_number", "invalid_request", "ok", "unknown_instance", "missing_content", "invalid_request", "ok"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	eventually(t, "the good ones are sent", func() bool { return len(s.gateway.Sent()) == 3 })
	if diff := cmp.Diff([]string{"uno", "dos", "tres"}, delivered(s)["5215550000001@s.whatsapp.net"]); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
	if _, _, again := s.request(http.MethodPost, "/v1/messages/batch", batch, headers); !cmp.Equal(answer, again) {
		t.Errorf("the same batch again: %v, want %v", again, answer)
	}
	if n := len(s.list("/v1/messages")); n != 3 {
		t.Errorf("%d messages are stored, want 3", n)
	}
}

func TestABatchHasFromOneToAThousandMessages(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	s.instance("sales")
	many := func(n int) map[string]any {
		messages := make([]any, n)
		for i := range messages {
			messages[i] = map[string]any{"instance": "sales", "to": fmt.Sprintf("52155500%05d", i), "text": "Hola"}
		}
		return map[string]any{"messages": messages}
	}
	for n, want := range map[int]int{0: 422, 1: 202, 1000: 202, 1001: 422} {
		if status, p := s.call(http.MethodPost, "/v1/messages/batch", many(n)); status != want {
			t.Errorf("%d messages: %d %v, want %d", n, status, p["code"], want)
		}
	}
	if status, p := s.call(http.MethodPost, "/v1/messages/batch", map[string]any{"mesages": []any{}}); status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown field: %d %v", status, p)
	}
}

func TestWhatAFilterMatchesIsCanceledAndNeverSent(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true, quiet: true})
	s.instance("sales")
	s.instance("support")
	for i := range 30 {
		s.send("sales", fmt.Sprintf("52155500%05d", i%5), "promo")
	}
	kept := s.send("sales", "+5215550000001", "invoice")["id"]
	other := s.send("support", "+5215550000001", "promo")["id"]
	limited := http.Header{"Authorization": {"Bearer " + makeKey(t, s, []string{"send"}, []string{"sales"})}}
	if status, _, p := s.request(http.MethodPost, "/v1/messages/cancel", nil, limited); status != http.StatusUnprocessableEntity {
		t.Errorf("without a filter, with a key for one instance: %d %v", status, p)
	}
	for _, nothing := range []string{"", "?q=", "?q=%20%20", "?direction=outbound"} {
		if status, p := s.call(http.MethodPost, "/v1/messages/cancel"+nothing, nil); status != http.StatusUnprocessableEntity || p["code"] != "filter_required" {
			t.Errorf("cancel%s: %d %v", nothing, status, p)
		}
	}
	if status, p := s.call(http.MethodPost, "/v1/messages/cancel?instance=sales&q=promo", nil); status != http.StatusOK || p["count"] != 30.0 {
		t.Errorf("cancel: %d %v, want 30", status, p)
	}
	if _, p := s.call(http.MethodPost, "/v1/messages/cancel?instance=sales&q=promo", nil); p["count"] != 0.0 {
		t.Errorf("cancel again: %v, want 0", p)
	}
	s.startWorker()
	s.awaitStatus(kept, "accepted")
	s.awaitStatus(other, "accepted")
	if got := len(s.gateway.Sent()); got != 2 {
		t.Errorf("the gateway was asked %d times, want twice", got)
	}
	if status, p := s.call(http.MethodPost, fmt.Sprintf("/v1/messages/%v/cancel", kept), nil); status != http.StatusConflict || p["code"] != "wrong_status" {
		t.Errorf("cancel what was sent: %d %v", status, p)
	}
}

func TestWhatFailedIsSentAgainByFilter(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	var ids []any
	for i := range 3 { // a number that ends in 0404 is not on WhatsApp
		ids = append(ids, s.send("sales", fmt.Sprintf("5215550%d0404", i), "Hola")["id"])
	}
	for _, id := range ids {
		s.awaitStatus(id, "failed")
	}
	if status, p := s.call(http.MethodPost, "/v1/messages/retry?status=failed", nil); status != http.StatusOK || p["count"] != 3.0 {
		t.Fatalf("retry: %d %v, want 3", status, p)
	}
	eventually(t, "each has failed a second time", func() bool {
		for _, id := range ids {
			if m := s.message(id); m["status"] != "failed" || len(m["attempts"].([]any)) != 2 {
				return false
			}
		}
		return true
	})
}
