package evolution_test

import (
	"testing"

	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// Own address, alternatives and senders, in the forms the versions use.
func TestDecode_addresses(t *testing.T) {
	t.Parallel()
	const own = "5215550009000@s.whatsapp.net"
	tests := []struct {
		name              string
		key               string
		chat, alt, sender string
	}{
		{"lid with a phone", `"remoteJid":"9@lid","remoteJidAlt":"521:3@s.whatsapp.net"`, "521@s.whatsapp.net", "9@lid", ""},
		{"lid with senderPn", `"remoteJid":"9@lid","senderPn":"521@c.us"`, "521@s.whatsapp.net", "9@lid", ""},
		{"another phone is not an alias", `"remoteJid":"521@s.whatsapp.net","senderPn":"522@s.whatsapp.net"`, "521@s.whatsapp.net", "", ""},
		{"our own number is not an alias", `"remoteJid":"9@lid","remoteJidAlt":"` + own + `"`, "9@lid", "", ""},
		{"group", `"remoteJid":"1-2@g.us","participant":"9:1@lid","participantAlt":"521@s.whatsapp.net"`, "1-2@g.us", "", "521@s.whatsapp.net"},
		{"group without phones", `"remoteJid":"1-2@G.US","participant":"9:1@lid"`, "1-2@g.us", "", "9@lid"},
		{"participant in a chat of two", `"remoteJid":"521@s.whatsapp.net","participant":"521@s.whatsapp.net"`, "521@s.whatsapp.net", "", ""},
	}
	for _, tt := range tests {
		body := `{"sender":"` + own + `","data":{"key":{"id":"A","fromMe":false,` + tt.key + `},"message":{"conversation":"x"}}}`
		u, err := evolution.Decoder{}.Decode("messages.upsert", []byte(body))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		m := u.Messages[0]
		if m.Chat != tt.chat || m.ChatAlt != tt.alt || m.Sender != tt.sender {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", tt.name, m.Chat, m.ChatAlt, m.Sender, tt.chat, tt.alt, tt.sender)
		}
	}
}

// When we write from the phone, senderPn is our own number.
func TestDecode_senderPnOfOurs(t *testing.T) {
	t.Parallel()
	const body = `{"data":{"key":{"id":"A","fromMe":true,"remoteJid":"9@lid","senderPn":"521@s.whatsapp.net"}}}`
	u, err := evolution.Decoder{}.Decode("messages.upsert", []byte(body))
	if err != nil || u.Messages[0].Chat != "9@lid" {
		t.Errorf("%+v, %v; want chat 9@lid", u, err)
	}
}
