package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// One person, as the sandbox knows them: it tells the LID of whoever writes from
// their number, and nothing of whoever writes from their LID.
const (
	phone      = "5215550000001@s.whatsapp.net"
	otherPhone = "525550000001@s.whatsapp.net" // the same number, as people in Mexico write it today
	lid        = "905215550000001@lid"
)

// hear has somebody write to us, and waits until it is stored.
func (s *system) hear(in sandbox.Inbound) {
	s.tb.Helper()
	ids, err := s.gateway.Receive(in)
	if err != nil {
		s.tb.Fatal(err)
	}
	eventually(s.tb, "it was heard", func() bool {
		for _, m := range s.list("/v1/messages?direction=inbound&limit=200") {
			if m["gateway_message_id"] == ids[0] {
				return true
			}
		}
		return false
	})
}

func saying(messages []map[string]any) []any {
	out := make([]any, len(messages))
	for i, m := range messages { // the newest is first
		out[len(messages)-1-i] = m["text"]
	}
	return out
}

func TestAPersonHasOneChatUnderEveryAddress(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	first := s.send("sales", "+52 555 000 0001", "uno")
	s.awaitStatus(first["id"], "accepted")
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "dos"})
	s.awaitStatus(s.send("sales", lid, "tres")["id"], "accepted")
	status, reply := s.call(http.MethodPost, "/v1/messages", map[string]any{"instance": "sales", "to": phone, "text": "cuatro", "reply_to": first["id"]})
	if status != http.StatusAccepted || reply["chat"] != otherPhone {
		t.Fatalf("reply: %d %v", status, reply)
	}
	s.awaitStatus(reply["id"], "accepted")
	want := []any{"uno", "dos", "tres", "cuatro"}
	for _, address := range []string{phone, otherPhone, lid} {
		for _, path := range []string{"/v1/messages?chat=" + address, "/v1/instances/sales/chats/" + address + "/messages"} {
			if diff := cmp.Diff(want, saying(s.list(path))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
	chats := s.list("/v1/instances/sales/chats")
	if len(chats) != 1 || chats[0]["jid"] != otherPhone || !cmp.Equal(chats[0]["aliases"], []any{lid}) {
		t.Errorf("chats = %v", chats)
	}
	if diff := cmp.Diff(map[string][]string{otherPhone: {"uno", "tres", "cuatro"}}, delivered(s)); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
}

func TestTwoChatsOfOnePersonBecomeOneWithWhatWaitsInThem(t *testing.T) {
	t.Parallel()
	s := start(t, options{workers: 2})
	s.instance("sales")
	s.hear(sandbox.Inbound{Instance: "sales", From: lid, Text: "hola"})
	early := s.send("sales", phone, "to the number")["id"]
	s.awaitStatus(early, "accepted")
	s.call(http.MethodPost, "/v1/instances/sales/pause", nil)
	want := []any{"hola", "to the number"}
	for i := range 10 {
		text := fmt.Sprint("m", i)
		s.send("sales", []string{lid, phone}[i%2], text)
		want = append(want, text)
	}
	if chats := s.list("/v1/instances/sales/chats"); len(chats) != 2 {
		t.Fatalf("%d chats, want two at first", len(chats))
	}
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "I am the same"})
	want = append(want, "I am the same")
	eventually(t, "they are one", func() bool { return len(s.list("/v1/instances/sales/chats")) == 1 })
	for _, address := range []string{phone, lid} {
		if diff := cmp.Diff(want, saying(s.list("/v1/messages?chat="+address))); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", address, diff)
		}
	}
	if chat := s.list("/v1/instances/sales/chats")[0]; chat["jid"] != phone || !cmp.Equal(chat["aliases"], []any{lid}) {
		t.Errorf("chat = %v", chat)
	}
	s.call(http.MethodPost, "/v1/instances/sales/resume", nil)
	eventually(t, "all are sent", func() bool { return len(arrivals(s, "sales")) == 11 })
	if diff := cmp.Diff(map[string][]string{phone: {"to the number", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}}, delivered(s)); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
}

// Two messages of one person come at the same time, one from each address.
func TestAChatThatIsMadeMeanwhileIsMergedToo(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	pool := testenv.PoolOn(t, s.database)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "INSERT INTO chats (instance_id, jid) SELECT id, $1 FROM instances WHERE name = 'sales'", lid); err != nil {
		t.Fatal(err)
	}
	s.webhook("/webhooks/evolution/sales", fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":{"key":{"remoteJid":%q,"remoteJidAlt":%q,"fromMe":false,"id":"A"},"message":{"conversation":"uno"}}}`, phone, lid))
	eventually(t, "the other waits", func() bool {
		var waiting int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
		return err == nil && waiting > 0
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both addresses lead to one chat", func() bool {
		var addresses, chats int
		err := pool.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT chat_id) FROM addresses").Scan(&addresses, &chats)
		return err == nil && addresses == 2 && chats == 1
	})
	if got := saying(s.list("/v1/messages?chat=" + lid)); !cmp.Equal(got, []any{"uno"}) {
		t.Errorf("the chat says %v", got)
	}
}

// The gateway answers a message to a number with the LID that it was sent to.
func TestWhomWeWroteToIsKnownByTheirOtherAddressToo(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	m := s.awaitStatus(s.send("sales", phone, "uno")["id"], "accepted")
	s.tell("send.message", fmt.Sprintf(`{"key":{"remoteJid":%q,"fromMe":true,"id":%q},"message":{"conversation":"uno"},"status":"PENDING"}`, lid, m["gateway_message_id"]))
	s.tell("messages.upsert", `{"key":{"remoteJid":"`+lid+`","fromMe":false,"id":"B"},"message":{"conversation":"dos"}}`)
	if diff := cmp.Diff([]any{"uno", "dos"}, saying(s.list("/v1/messages?chat="+phone))); diff != "" {
		t.Errorf("chat (-want +got):\n%s", diff)
	}
}

func TestAMessageToldUnderTwoAddressesIsOneMessage(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	upsert := func(key, id, text string) []byte {
		return fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":{"key":{%s,"fromMe":false,"id":%q},"message":{"conversation":%q},"messageTimestamp":1763880000}}`, key, id, text)
	}
	byLID, byNumber := `"remoteJid":"`+lid+`"`, `"remoteJid":"`+phone+`"`
	for _, body := range [][]byte{
		upsert(byLID, "A", "uno"), upsert(byNumber, "A", "uno"), upsert(byLID, "B", "dos"),
		upsert(byLID+`,"remoteJidAlt":"`+phone+`"`, "A", "uno"), upsert(byNumber, "B", "dos"),
	} {
		if status, answer := s.webhook("/webhooks/evolution/sales", body); status != http.StatusOK || answer["status"] != "accepted" {
			t.Fatalf("webhook: %d %v", status, answer)
		}
	}
	eventually(t, "there is one chat with two messages", func() bool {
		return len(s.list("/v1/instances/sales/chats")) == 1 && len(s.list("/v1/messages?chat="+lid)) == 2
	})
}

// A number is given to somebody else in time, whose chat must not be the old one.
func TestAnotherNumberIsAnotherPerson(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	const stranger = "5215550000009@s.whatsapp.net"
	s.hear(sandbox.Inbound{Instance: "sales", From: phone, Text: "uno"}) // with the LID
	s.hear(sandbox.Inbound{Instance: "sales", From: stranger, Text: "dos"})
	body := fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":{"key":{"remoteJid":%q,"remoteJidAlt":%q,"fromMe":false,"id":"X"},"message":{"conversation":"tres"},"messageTimestamp":1763880000}}`, stranger, lid)
	if status, answer := s.webhook("/webhooks/evolution/sales", body); status != http.StatusOK {
		t.Fatalf("webhook: %d %v", status, answer)
	}
	eventually(t, "it was heard", func() bool { return len(s.list("/v1/messages?chat="+stranger)) == 2 })
	if n := len(s.list("/v1/messages?chat=" + phone)); n != 1 {
		t.Errorf("%d messages in the first chat, want 1", n)
	}
	if got := s.list("/v1/messages?chat=" + lid); len(got) != 1 || got[0]["text"] != "uno" {
		t.Errorf("the LID leads to %v", got)
	}
	var merges int
	if err := testenv.PoolOn(t, s.database).QueryRow(t.Context(), "SELECT count(*) FROM chat_merges").Scan(&merges); err != nil || merges != 0 {
		t.Errorf("%d merges are asked for, %v", merges, err)
	}
}
