package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/internal/testenv"
)

// tell posts an event of Evolution, and waits until it is applied.
func (s *system) tell(event, data string) {
	s.tb.Helper()
	status, answer := s.webhook("/webhooks/evolution/sales", fmt.Appendf(nil, `{"event":%q,"instance":"sales","data":%s}`, event, data))
	if status != http.StatusOK || answer["status"] != "accepted" {
		s.tb.Fatalf("%s: %d %v", event, status, answer)
	}
	pool := testenv.PoolOn(s.tb, s.database)
	eventually(s.tb, event+" is applied", func() bool {
		var state string
		err := pool.QueryRow(s.tb.Context(), "SELECT state::text FROM gateway_events WHERE id = $1", answer["event_id"]).Scan(&state)
		return err == nil && state == "applied"
	})
}

func TestWhatIsAroundMessagesIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	const group = "120363000000000001@g.us"
	s.tell("groups.upsert", `[{"id":"`+group+`","subject":"Familia","desc":"Los domingos","owner":"`+lid+`","ownerPn":"`+phone+`",
		"participants":[{"id":"`+lid+`","phoneNumber":"`+phone+`","admin":"superadmin"},{"id":"900000000000002@lid"},{"id":"900000000000003@lid"}]}]`)
	s.tell("group-participants.update", `{"id":"`+group+`","author":"`+lid+`","participants":["900000000000002@lid"],"action":"remove"}`)
	s.tell("group-participants.update", `{"id":"`+group+`","author":"`+lid+`","participants":["900000000000004@lid"],"action":"add"}`)
	s.tell("labels.edit", `{"id":"1","name":"VIP","color":3,"deleted":false}`)
	s.tell("labels.edit", `{"id":"2","name":"Gone","color":3,"deleted":true}`)
	s.tell("labels.association", `{"type":"add","chatId":"`+lid+`","labelId":"1"}`)
	s.tell("presence.update", `{"id":"`+phone+`","presences":{"`+phone+`":{"lastKnownPresence":"composing"}}}`)
	s.tell("presence.update", `{"id":"77777@lid","presences":{"77777@lid":{"lastKnownPresence":"composing"}}}`) // of nobody we know
	s.tell("call", `{"from":"`+lid+`","id":"CALL1","date":"2025-11-23T06:40:05.000Z","status":"terminate"}`)
	s.tell("call", `{"from":"`+phone+`","id":"CALL1","date":"2025-11-23T06:40:00.000Z","status":"offer","isVideo":true}`)

	_, got := s.call(http.MethodGet, "/v1/instances/sales/chats/"+group, nil)
	want := map[string]any{
		"description": "Los domingos", "owner": phone, "participants": []any{
			map[string]any{"jid": phone, "admin": true, "name": nil},
			map[string]any{"jid": "900000000000003@lid", "admin": false, "name": nil},
			map[string]any{"jid": "900000000000004@lid", "admin": false, "name": nil},
		},
	}
	if diff := cmp.Diff(want, got["group"]); diff != "" || got["name"] != "Familia" {
		t.Errorf("group %v (-want +got):\n%s", got["name"], diff)
	}
	_, person := s.call(http.MethodGet, "/v1/instances/sales/chats/"+lid, nil)
	if diff := cmp.Diff([]any{map[string]any{"id": "1", "name": "VIP", "color": 3.0}}, person["labels"]); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if p := person["presence"].([]any); person["jid"] != phone || len(p) != 1 || p[0].(map[string]any)["state"] != "composing" {
		t.Errorf("person = %v", person)
	}
	calls := s.list("/v1/instances/sales/calls")
	wantCalls := []map[string]any{{"id": "CALL1", "chat": phone, "video": true, "status": "terminate", "started_at": "2025-11-23T06:40:00Z"}}
	if diff := cmp.Diff(wantCalls, calls, cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return name == "changed_at" })); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if labels := s.list("/v1/instances/sales/labels"); len(labels) != 1 || labels[0]["name"] != "VIP" {
		t.Errorf("labels = %v", labels)
	}
	if chats := s.list("/v1/instances/sales/chats"); len(chats) != 0 {
		t.Errorf("who never wrote has a conversation: %v", chats)
	}
	if status, answer := s.call(http.MethodGet, "/v1/instances/sales/chats/77777@lid", nil); status != http.StatusNotFound || answer["code"] != "unknown_chat" {
		t.Errorf("nobody's chat: %d %v", status, answer)
	}
}

// Whoever reads a QR code owns the session.
func TestAQRCodeIsNotKept(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	s.tell("qrcode.updated", `{"qrcode":{"instance":"sales","pairingCode":"WZYEH1YY","code":"2@SECRET","base64":"data:image/png;base64,SECRET"}}`)
	var kept int
	err := testenv.PoolOn(t, s.database).QueryRow(t.Context(), "SELECT count(*) FROM gateway_events WHERE encode(body, 'escape') ~ 'SECRET|WZYEH1YY'").Scan(&kept)
	if err != nil || kept != 0 {
		t.Errorf("%d bodies hold it, %v", kept, err)
	}
}
