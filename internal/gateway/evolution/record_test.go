package evolution_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

const recorded = 1763880000

func records(t *testing.T, oldBefore time.Time, list ...string) []gateway.Record {
	t.Helper()
	now := time.Now()
	page, err := evolution.NewSender(http.DefaultClient).Records(t.Context(), store(t, 1, list...), //nolint:forbidigo // a test's own calls
		gateway.Span{From: now.Add(-time.Hour), To: now, OldBefore: oldBefore, Page: 1})
	if err != nil || page.Pages != 1 {
		t.Fatalf("%d pages, %v", page.Pages, err)
	}
	return page.Records
}

// written is a record of somebody's message as version 2.3.6 stores it.
func written(status string) string {
	return fmt.Sprintf(`{"id":"cmrow","key":{"id":"A1","fromMe":false,"remoteJid":"5215550000001@s.whatsapp.net","participant":""},
		"pushName":"Ana","messageType":"conversation","message":{"conversation":"¿Hay pan?"},"messageTimestamp":%d,
		"instanceId":"i","source":"android","contextInfo":null,"MessageUpdate":[%s]}`, recorded, status)
}

func TestARecordIsToldAsItsWebhookWouldHaveBeen(t *testing.T) {
	t.Parallel()
	r := records(t, time.Time{}, written(""))[0]
	if r.ID != "A1" || r.FromMe || r.Old || r.At.Unix() != recorded || r.Message.Event != gateway.EventFound || r.Message.Instance != "sales" {
		t.Errorf("record = %+v", r)
	}
	found, err := evolution.Decoder{}.Decode(r.Message.Event, r.Message.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":%s}`, written(""))
	told, err := evolution.Decoder{}.Decode("messages.upsert", body)
	if err != nil {
		t.Fatal(err)
	}
	told.Messages[0].Echo = true // it may have been sent through the gateway's API
	if diff := cmp.Diff(told, found); diff != "" {
		t.Errorf("update (-webhook +record):\n%s", diff)
	}
}

// So that it is stored once, however often it is read.
func TestARecordIsTheSameBytesWhileItsMessageGoesItsWay(t *testing.T) {
	t.Parallel()
	before := records(t, time.Time{}, written(""))[0]
	after := records(t, time.Time{}, written(`{"status":"READ"}`))[0]
	if string(before.Message.Body) != string(after.Message.Body) {
		t.Errorf("%s\nand then\n%s", before.Message.Body, after.Message.Body)
	}
}

func TestAnOldRecordIsToldAsHistory(t *testing.T) {
	t.Parallel()
	r := records(t, time.Unix(recorded+1, 0), written(""))[0]
	u, err := evolution.Decoder{}.Decode(r.Message.Event, r.Message.Body)
	if err != nil || !r.Old || len(u.Messages) != 1 || !u.Messages[0].History {
		t.Errorf("told as %s: %+v, %v", r.Message.Event, u, err)
	}
}

func TestTheBestStatusOfARecordIsReported(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, members string
		want          gateway.Status
	}{
		{"none", `"MessageUpdate":[]`, ""},
		{"nothing new", `"status":"PENDING","MessageUpdate":[]`, ""},
		{"in any order", `"MessageUpdate":[{"status":"READ"},{"status":"DELIVERY_ACK"}]`, gateway.StatusRead},
		{"beside the message", `"status":"DELIVERY_ACK"`, gateway.StatusDelivered},
		{"delivered after it failed", `"MessageUpdate":[{"status":"ERROR"},{"status":"DELIVERY_ACK"},{"status":"ERROR"}]`, gateway.StatusDelivered},
		{"failed", `"MessageUpdate":[{"status":"SERVER_ACK"},{"status":"ERROR"}]`, gateway.StatusFailed},
		{"no status at all", `"status":7,"MessageUpdate":[{"status":"DELETED"},{},3]`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := records(t, time.Time{}, fmt.Sprintf(`{"key":{"id":"A1","fromMe":true,"remoteJid":"5215550000001@s.whatsapp.net"},
				"message":{"conversation":"Hola"},"messageTimestamp":%d,%s}`, recorded, tt.members))[0]
			if r.Status != tt.want {
				t.Fatalf("status = %q, want %q", r.Status, tt.want)
			}
			if tt.want == "" {
				return
			}
			u, err := evolution.Decoder{}.Decode(r.Report.Event, r.Report.Body)
			if err != nil || len(u.Statuses) != 1 || u.Statuses[0].Status != tt.want || u.Statuses[0].MessageID != "A1" {
				t.Errorf("report = %+v, %v", u, err)
			}
		})
	}
}

func TestWhatIsNoMessageIsNoRecord(t *testing.T) {
	t.Parallel()
	if got := records(t, time.Time{}, "3", "{}", `{"key":{"id":7}}`, `{"key":{"id":""}}`); len(got) != 0 {
		t.Errorf("records = %+v, want none", got)
	}
}

func TestAGatewayThatCannotTellIsAnError(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "{}", "[]", `{"messages":{"records":[]}}`, "<html>"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		t.Cleanup(srv.Close)
		_, err := evolution.NewSender(http.DefaultClient).Records(t.Context(), //nolint:forbidigo // a test's own calls
			gateway.Account{Instance: "sales", BaseURL: srv.URL}, gateway.Span{To: time.Now(), Page: 1})
		if err == nil {
			t.Errorf("%q is no error", answer)
		}
	}
}
