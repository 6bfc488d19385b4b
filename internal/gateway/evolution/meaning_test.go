package evolution_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

func TestEditsAndDeletionsComeInManyForms(t *testing.T) {
	t.Parallel()
	at := time.Unix(1763880000, 0).UTC()
	edit := func(id, text string, at time.Time) []gateway.Edit {
		return []gateway.Edit{{MessageID: id, Text: text, At: at}}
	}
	deletion := func(id string, at time.Time) []gateway.Deletion {
		return []gateway.Deletion{{MessageID: id, At: at}}
	}
	upsert := func(message string) string {
		return `{"key":{"remoteJid":"521@s.whatsapp.net","fromMe":false,"id":"OWN"},"messageTimestamp":1763880000,"message":` + message + `}`
	}
	tests := []struct {
		name, event, data string
		want              gateway.Update
	}{
		{"in words", "messages.edited", `{"key":{"id":"A"},"type":"MESSAGE_EDIT","editedMessage":{"conversation":"b"},"timestampMs":"1763880000999"}`, gateway.Update{Edits: edit("A", "b", at)}},
		{"in numbers", "messages.edited", `{"key":{"id":"A"},"type":14,"editedMessage":{"conversation":"b"},"timestampMs":1763880000000}`, gateway.Update{Edits: edit("A", "b", at)}},
		{"a number in words", "messages.edited", `{"key":{"id":"A"},"type":"14","editedMessage":{"conversation":"b"}}`, gateway.Update{Edits: edit("A", "b", time.Time{})}},
		{"to no text", "messages.edited", `{"key":{"id":"A"},"type":14,"editedMessage":{"imageMessage":{"caption":""}}}`, gateway.Update{Edits: edit("A", "", time.Time{})}},
		{"wrapped", "messages.edited", `{"key":{"id":"A"},"type":14,"editedMessage":{"documentWithCaptionMessage":{"message":{"documentMessage":{"caption":"b"}}}}}`, gateway.Update{Edits: edit("A", "b", time.Time{})}},
		{"several", "messages.edited", `[{"key":{"id":"A"},"type":0},{"key":{"id":"B"},"type":"REVOKE"}]`, gateway.Update{Deletions: []gateway.Deletion{{MessageID: "A"}, {MessageID: "B"}}}},
		{"in the message that it came in", "messages.edited", upsert(`{"protocolMessage":{"key":{"id":"A"},"type":0}}`), gateway.Update{Deletions: deletion("A", at)}},
		{"by our API", "send.message.update", `{"key":{"id":"A"},"type":"MESSAGE_EDIT","editedMessage":{"extendedTextMessage":{"text":"b"}}}`, gateway.Update{Edits: edit("A", "b", time.Time{})}},
		{"as a message", "messages.upsert", upsert(`{"protocolMessage":{"key":{"id":"A"},"type":14,"editedMessage":{"conversation":"b"}}}`), gateway.Update{Edits: edit("A", "b", at)}},
		{"as a message in a wrapper", "messages.upsert", upsert(`{"editedMessage":{"message":{"protocolMessage":{"key":{"id":"A"},"type":14,"editedMessage":{"conversation":"b"}}}}}`), gateway.Update{Edits: edit("A", "b", at)}},
		{"deleted as a message", "messages.upsert", upsert(`{"protocolMessage":{"key":{"id":"A"},"type":"REVOKE"}}`), gateway.Update{Deletions: deletion("A", at)}},
		{"in a history nothing happens", "messages.set", "[" + upsert(`{"protocolMessage":{"key":{"id":"A"},"type":"REVOKE"}}`) + "]", gateway.Update{}},
		{"deleted by key", "messages.delete", `{"id":"A","remoteJid":"x"}`, gateway.Update{Deletions: deletion("A", time.Time{})}},
		{"deleted with a status", "messages.delete", `{"id":"A","status":"DELETED"}`, gateway.Update{Deletions: deletion("A", time.Time{})}},
		{"deleted by our API", "messages.delete", `{"id":"row","key":{"id":"A"},"status":"DELETED","message":{}}`, gateway.Update{Deletions: deletion("A", time.Time{})}},
		{"an update with a message", "messages.update", `{"keyId":"A","status":"SERVER_ACK","message":{"editedMessage":{"message":{"conversation":"b"}}}}`, gateway.Update{Edits: edit("A", "b", time.Time{})}},
		{"an update with an edit of another one", "messages.update", `{"keyId":"A","message":{"protocolMessage":{"key":{"id":"B"},"type":14,"editedMessage":{"conversation":"b"}}}}`, gateway.Update{Edits: edit("B", "b", time.Time{})}},
		{"an update with both", "messages.update", `{"keyId":"A","status":"READ","message":{"editedMessage":{"message":{"conversation":"b"}}}}`, gateway.Update{Edits: edit("A", "b", time.Time{}), Statuses: []gateway.Evidence{{MessageID: "A", Status: "read"}}}},
		{"a status that repeats the message", "messages.update", `{"keyId":"A","status":"READ","message":{"conversation":"b"}}`, gateway.Update{Statuses: []gateway.Evidence{{MessageID: "A", Status: "read"}}}},
		{"DELETED of 2.3.0 that was an edit", "messages.update", `{"keyId":"A","status":"DELETED","message":{"editedMessage":{"message":{"conversation":"b"}}}}`, gateway.Update{Edits: edit("A", "b", time.Time{})}},
		{"an update with a message of no meaning", "messages.update", `{"keyId":"A","status":"SERVER_ACK","message":{}}`, gateway.Update{}},
		{"an update without a message", "messages.update", `{"keyId":"A","status":"SERVER_ACK","message":null}`, gateway.Update{Statuses: []gateway.Evidence{{MessageID: "A", Status: "sent"}}}},
		{"DELETED of 2.3.0", "messages.update", `{"keyId":"A","status":"DELETED"}`, gateway.Update{}},
		{"a timer", "messages.edited", `{"type":"EPHEMERAL_SETTING","ephemeralExpiration":1}`, gateway.Update{}},
		{"a type that is missing is no deletion", "messages.edited", `{"key":{"id":"A"}}`, gateway.Update{}},
		{"keys", "messages.edited", `{"type":6,"appStateSyncKeyShare":{}}`, gateway.Update{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := decode(t, tt.event, tt.data)
			tt.want.Handled = len(tt.want.Edits)+len(tt.want.Deletions)+len(tt.want.Statuses) > 0
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A message that only says it was edited may be new to us or not: both must end
// with its present text.
func TestAnEditedMessageIsAlsoAMessage(t *testing.T) {
	t.Parallel()
	const record = `{"key":{"remoteJid":"521@s.whatsapp.net","fromMe":false,"id":"A"},"message":{"editedMessage":{"message":{"conversation":"b"}}}}`
	u := decode(t, "messages.upsert", record)
	if len(u.Messages) != 1 || u.Messages[0].Text != "b" || len(u.Edits) != 1 || u.Edits[0] != (gateway.Edit{MessageID: "A", Text: "b"}) {
		t.Errorf("%+v", u)
	}
	if u := decode(t, "messages.set", "["+record+"]"); len(u.Messages) != 1 || len(u.Edits) != 0 {
		t.Errorf("from a history: %+v", u)
	}
}

func TestWhatCannotBeAnEditIsKeptForAPerson(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"type":14,"editedMessage":{"conversation":"b"}}`:          "missing_message_id",
		`{"key":{"id":7},"type":0}`:                                 "invalid_message_id",
		`{"key":{"id":"A"},"type":14}`:                              "missing_content",
		`{"key":{"id":"A"},"type":14,"editedMessage":{"future":1}}`: "missing_content",
		`[null]`: "malformed_data",
		`7`:      "malformed_data",
	} {
		_, err := evolution.Decoder{}.Decode("messages.edited", []byte(`{"data":`+data+`}`))
		if got := code(err); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
	for data, want := range map[string]string{
		`{}`: "missing_message_id", `{"id":"row","key":{}}`: "missing_message_id", `[[]]`: "malformed_data",
		`{"id":"` + strings.Repeat("x", 129) + `"}`: "invalid_message_id",
	} {
		_, err := evolution.Decoder{}.Decode("messages.delete", []byte(`{"data":`+data+`}`))
		if got := code(err); got != want {
			t.Errorf("messages.delete %s: %q, want %q", data, got, want)
		}
	}
}

// Whoever is told by two addresses is introduced, whatever the event is about.
func TestTwoAddressesOfAPersonAreTold(t *testing.T) {
	t.Parallel()
	want := []gateway.Contact{{JID: "521@s.whatsapp.net", Aliases: []string{"9@lid"}}}
	key := func(members string) string {
		return `{"key":{"id":"A","fromMe":false,` + members + `},"message":{"conversation":"x"}}`
	}
	for name, give := range map[string][2]string{
		"by LID":                   {"messages.upsert", key(`"remoteJid":"9@lid","remoteJidAlt":"521:3@s.whatsapp.net"`)},
		"by number":                {"messages.upsert", key(`"remoteJid":"521@s.whatsapp.net","remoteJidAlt":"9:1@lid"`)},
		"senderPn":                 {"messages.upsert", key(`"remoteJid":"9@lid","senderPn":"521@c.us"`)},
		"previousRemoteJid":        {"messages.upsert", key(`"remoteJid":"521@s.whatsapp.net","previousRemoteJid":"9@lid"`)},
		"in a group":               {"messages.upsert", key(`"remoteJid":"1-2@g.us","participant":"9@lid","participantAlt":"521@s.whatsapp.net"`)},
		"in a group, participants": {"messages.upsert", key(`"remoteJid":"1-2@g.us","participant":"9@lid","participantPn":"521@s.whatsapp.net"`)},
		"twice":                    {"messages.set", "[" + key(`"remoteJid":"9@lid","remoteJidAlt":"521@s.whatsapp.net"`) + "," + key(`"remoteJid":"9@lid","remoteJidAlt":"521@s.whatsapp.net"`) + "]"},
		"a contact":                {"contacts.update", `{"remoteJid":"9@lid","remoteJidAlt":"521@s.whatsapp.net"}`},
		"a contact of Baileys 7":   {"contacts.upsert", `[{"id":"9@lid","lid":"9@lid","phoneNumber":"521@s.whatsapp.net","pushName":"9"}]`},
		"a chat":                   {"chats.upsert", `[{"remoteJid":"521@s.whatsapp.net","lid":"9@lid"}]`},
		"a caller":                 {"call", `{"id":"C","status":"offer","from":"9@lid","callerPn":"521@s.whatsapp.net"}`},
		"a member":                 {"groups.upsert", `[{"id":"1-2@g.us","participants":[{"id":"9@lid","phoneNumber":"521@s.whatsapp.net"},7,{"id":"x"}]}]`},
		"an owner":                 {"groups.update", `[{"id":"1-2@g.us","owner":"9@lid","ownerPn":"521@s.whatsapp.net"}]`},
		"who joins":                {"group-participants.update", `{"id":"1-2@g.us","action":"add","participants":["9@lid"],"participantsData":[{"jid":"9@lid","phoneNumber":"521@s.whatsapp.net"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decode(t, give[0], give[1])
			if diff := cmp.Diff(want, got.Contacts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, give := range []string{
		key(`"remoteJid":"521@s.whatsapp.net","remoteJidAlt":"522@s.whatsapp.net"`),
		key(`"remoteJid":"1-2@g.us","participant":"9@lid","participantAlt":"8@lid"`),
		key(`"remoteJid":"9@lid"`),
	} {
		if u := decode(t, "messages.upsert", give); len(u.Contacts) != 0 {
			t.Errorf("%s introduces %+v", give, u.Contacts)
		}
	}
}

func TestGroupsTellTheirMembers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, event, data string
		want              []gateway.Group
	}{
		{"whole", "groups.upsert", `[{"id":"1-2@g.us","subject":"S","desc":"D","owner":"521@s.whatsapp.net","participants":[{"id":"522@s.whatsapp.net","admin":"admin"},"523@s.whatsapp.net"]}]`, []gateway.Group{{
			JID: "1-2@g.us", Name: "S", Description: "D", Owner: "521@s.whatsapp.net",
			Participants: []gateway.Participant{{JID: "522@s.whatsapp.net", Admin: true}, {JID: "523@s.whatsapp.net"}},
		}}},
		{"a change of its name", "group.update", `{"id":"1-2@g.us","subject":"S"}`, []gateway.Group{{JID: "1-2@g.us", Name: "S"}}},
		{"a change of what we do not keep", "group.update", `{"id":"1-2@g.us","announce":true}`, nil},
		{"no group", "group.update", `{"id":"521@s.whatsapp.net","subject":"S"}`, nil},
		{"promoted", "group-participants.update", `{"id":"1-2@g.us","action":"promote","participants":["521@s.whatsapp.net"]}`, []gateway.Group{{
			JID: "1-2@g.us", Action: "promote", Participants: []gateway.Participant{{JID: "521@s.whatsapp.net", Admin: true}},
		}}},
		{"demoted", "group-participants.update", `{"id":"1-2@g.us","action":"demote","participants":[{"id":"521@s.whatsapp.net","admin":"admin"}]}`, []gateway.Group{{
			JID: "1-2@g.us", Action: "demote", Participants: []gateway.Participant{{JID: "521@s.whatsapp.net"}},
		}}},
		{"a new number", "group-participants.update", `{"id":"1-2@g.us","action":"modify","participants":["521@s.whatsapp.net"]}`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, decode(t, tt.event, tt.data).Groups, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestWhatHappensAroundMessages(t *testing.T) {
	t.Parallel()
	at := time.Unix(1763880000, 0).UTC()
	tests := []struct {
		name, event, data string
		want              gateway.Update
	}{
		{"typing", "presence.update", `{"id":"1-2@g.us","presences":{"521:2@s.whatsapp.net":{"lastKnownPresence":"composing"},"9@lid":{"lastKnownPresence":"dancing"},"x":{"lastKnownPresence":"paused"}}}`, gateway.Update{
			Presence: []gateway.Presence{{Chat: "1-2@g.us", JID: "521@s.whatsapp.net", State: "composing"}},
		}},
		{"presence of nobody", "presence.update", `{"id":7}`, gateway.Update{}},
		{"a call", "call", `{"id":"C","from":"521@s.whatsapp.net","status":"offer","isVideo":true,"date":1763880000}`, gateway.Update{
			Calls: []gateway.Call{{ID: "C", From: "521@s.whatsapp.net", Status: "offer", Video: true, At: at}},
		}},
		{"a step of a call", "call", `{"id":"C","from":"521@s.whatsapp.net","status":"relaylatency"}`, gateway.Update{}},
		{"a label taken away", "labels.association", `{"type":"remove","chatId":"521@s.whatsapp.net","labelId":"1"}`, gateway.Update{
			LabelChanges: []gateway.LabelChange{{LabelID: "1", Chat: "521@s.whatsapp.net", Removed: true}},
		}},
		{"a label's end", "labels.edit", `{"id":"1","name":"VIP","color":-1,"deleted":true}`, gateway.Update{
			Labels: []gateway.Label{{ID: "1", Name: "VIP", Deleted: true}},
		}},
		{"a code", "qrcode.updated", `{"qrcode":{"code":"2@x","pairingCode":"ABCD","base64":"data:image/png;base64,AA=="}}`, gateway.Update{
			QR: &gateway.QR{Code: "2@x", PairingCode: "ABCD", Image: "data:image/png;base64,AA=="},
		}},
		{"no more codes", "qrcode.updated", `{"message":"limit","statusCode":500}`, gateway.Update{QR: &gateway.QR{Exhausted: true}}},
		{"an empty code", "qrcode.updated", `{"qrcode":{}}`, gateway.Update{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := decode(t, tt.event, tt.data)
			tt.want.Handled = !cmp.Equal(tt.want, gateway.Update{})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, data := range []string{`{"status":"offer","from":"521@s.whatsapp.net"}`, `{"status":"offer","id":"C"}`} {
		if _, err := (evolution.Decoder{}).Decode("call", []byte(`{"data":`+data+`}`)); err == nil {
			t.Errorf("call %s is believed", data)
		}
	}
}

func TestACodeDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	u := decode(t, "qrcode.updated", `{"qrcode":{"code":"2@hunter2","pairingCode":"hunter2","base64":"data:hunter2"}}`)
	encoded, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", *u.QR, *u.QR, *u.QR, encoded); strings.Contains(printed, "hunter2") {
		t.Errorf("printed: %s", printed)
	}
}

func TestAHistorySaysWhatItCouldNotUse(t *testing.T) {
	t.Parallel()
	u := decode(t, "messages.set", `[{"key":{"remoteJid":"1@lid","id":"A","fromMe":false}},7,`+series(200, `{"key":{"id":"%d %d"}}`)+`]`)
	if len(u.Messages) != 1 || len(u.Unusable) != 101 || u.Unusable[0] != "data[1]: A message is not an object." || u.Unusable[100] != "And 101 more." {
		t.Errorf("%d messages, %q", len(u.Messages), u.Unusable)
	}
}
