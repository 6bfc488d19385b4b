package e2e_test

import (
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

// inboundID returns the id of the newest message that was written to us.
func (s *system) inboundID() string {
	s.tb.Helper()
	var id string
	eventually(s.tb, "a message was heard", func() bool {
		list := s.list("/v1/messages?direction=inbound")
		if len(list) > 0 {
			id, _ = list[0]["id"].(string)
		}
		return len(list) > 0
	})
	return id
}

// read asks to tell that a message was read, and returns the answer.
func (s *system) read(id any) map[string]any {
	s.tb.Helper()
	status, body := s.call(http.MethodPost, "/v1/messages/"+id.(string)+"/read", nil)
	if status != http.StatusAccepted || body["id"] != id || body["read_receipt"] == nil {
		s.tb.Fatalf("read: %d %v", status, body)
	}
	return body
}

func (s *system) awaitReceipt(id any, want string) map[string]any {
	s.tb.Helper()
	var m map[string]any
	eventually(s.tb, "the receipt is "+want, func() bool {
		m = s.message(id)
		r, _ := m["read_receipt"].(map[string]any)
		return r != nil && r["status"] == want
	})
	return m
}

// typing has a sign shown until it was. It is best effort: on a slow machine it is
// dropped for coming late.
func (s *system) typing(instance string, body any, shown func() bool) {
	s.tb.Helper()
	eventually(s.tb, "the sign is shown", func() bool {
		if status, answer := s.call(http.MethodPost, "/v1/instances/"+instance+"/chats/+5215550000001/typing", body); status != http.StatusAccepted {
			s.tb.Fatalf("typing: %d %v", status, answer)
		}
		return shown()
	})
}

func TestReadingAndTypingThroughEvolution(t *testing.T) {
	t.Parallel()
	s := start(t, options{workers: 2})
	s.instance("sales")
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "hola"})
	id := s.inboundID()
	s.read(id)
	m := s.awaitReceipt(id, "done")
	if m["read_at"] == nil || s.list("/v1/instances/sales/chats")[0]["unread"] != 0.0 || !s.gateway.Received()[0].Read {
		t.Errorf("message = %v, received %+v", m, s.gateway.Received())
	}
	if again := s.read(id)["read_receipt"].(map[string]any); again["status"] != "done" || len(s.gateway.Signs()) != 1 {
		t.Errorf("again: %v, signs %+v", again, s.gateway.Signs())
	}
	s.typing("sales", map[string]any{"state": "composing", "for_ms": 1}, func() bool { return len(s.gateway.Signs()) > 1 })
	if x := s.gateway.Signs()[1]; x.To != phone || x.Shows != "composing" || x.DelayMS != 1 {
		t.Errorf("sign = %+v", x)
	}
}

func TestReadingAndTypingThroughTheCloudAPI(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.cloud("meta")
	if _, err := s.gateway.ReceiveOnCloud(sandbox.CloudInbound{PhoneNumberID: "106540352242922", From: "5215550000001", Message: []byte(`{"type":"text","text":{"body":"hola"}}`)}); err != nil {
		t.Fatal(err)
	}
	id := s.inboundID()
	s.read(id)
	s.awaitReceipt(id, "done")
	s.typing("meta", map[string]any{"state": "recording"}, func() bool { return len(s.gateway.CloudMarks()) > 1 })
	want := s.message(id)["gateway_message_id"]
	for i, m := range s.gateway.CloudMarks() {
		if m.MessageID != want || m.Typing != (i > 0) {
			t.Errorf("mark %d = %+v, want of %v", i, m, want)
		}
	}
}

// A 2xx means committed: Redis may lose everything before a worker has seen it, and
// a paused instance waits.
func TestAReceiptOutlivesRedisAndAPause(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "hola"})
	id := s.inboundID()
	s.call(http.MethodPost, "/v1/instances/sales/pause", nil)
	s.read(id)
	opt, err := redis.ParseURL(s.redis)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	if err := rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if m := s.message(id); m["read_receipt"].(map[string]any)["status"] != "pending" || len(s.gateway.Signs()) != 0 {
		t.Errorf("paused: %v, signs %+v", m["read_receipt"], s.gateway.Signs())
	}
	s.call(http.MethodPost, "/v1/instances/sales/resume", nil)
	s.awaitReceipt(id, "done")
	if signs := s.gateway.Signs(); len(signs) != 1 || signs[0].MessageID != s.message(id)["gateway_message_id"] {
		t.Errorf("signs = %+v", signs)
	}
}

func TestAReceiptThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	s.hear(sandbox.Inbound{Instance: "sales", From: lid, Text: "hola"}) // whose number nobody knows
	id := s.inboundID()
	s.read(id)
	m := s.awaitReceipt(id, "failed")
	if reason := m["read_receipt"].(map[string]any)["error"].(map[string]any); reason["code"] != "number_unknown" || reason["message"] == "" {
		t.Errorf("receipt = %v", m["read_receipt"])
	}
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "I am the same"}) // with the LID
	eventually(t, "they are one", func() bool { return len(s.list("/v1/instances/sales/chats")) == 1 })
	s.read(id)
	s.awaitReceipt(id, "done")
}

func TestWhatCannotBeReadOrTypedIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, noWorkers: true})
	s.instance("sales")
	ours := s.send("sales", phone, "Hola")["id"].(string)
	for _, tt := range []struct {
		path   string
		body   any
		status int
		code   string
	}{
		{"/v1/messages/" + ours + "/read", nil, http.StatusConflict, "wrong_status"},
		{"/v1/messages/0199c2f4-0000-7000-8000-000000000001/read", nil, http.StatusNotFound, "unknown_message"},
		{"/v1/messages/x/read", nil, http.StatusNotFound, "unknown_message"},
		{"/v1/instances/none/chats/+5215550000001/typing", map[string]any{"state": "paused"}, http.StatusNotFound, "unknown_instance"},
		{"/v1/instances/sales/chats/mother/typing", map[string]any{"state": "paused"}, http.StatusUnprocessableEntity, "invalid_jid"},
		{"/v1/instances/sales/chats/+5215550000001/typing", map[string]any{"state": "available"}, http.StatusUnprocessableEntity, "invalid_request"},
		{"/v1/instances/sales/chats/+5215550000001/typing", map[string]any{"state": "composing", "for_ms": 25_001}, http.StatusUnprocessableEntity, "invalid_request"},
		{"/v1/instances/sales/chats/+5215550000001/typing", map[string]any{}, http.StatusUnprocessableEntity, "invalid_request"},
	} {
		if status, body := s.call(http.MethodPost, tt.path, tt.body); status != tt.status || body["code"] != tt.code {
			t.Errorf("%s %v: %d %v, want %d %s", tt.path, tt.body, status, body, tt.status, tt.code)
		}
	}
}
