package evolution

import (
	"cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// address fills in whose message it is: direction, chat and sender.
func (r *reading) address(m *gateway.Message, key wire.Object) error {
	fromMe := string(key.Get("fromMe"))
	if fromMe != "true" && fromMe != "false" {
		// Guessing wrong could make a bot answer itself.
		return invalid("ambiguous_direction", "A message does not say whether it is ours.")
	}
	m.FromMe = fromMe == "true"
	chat, ok := canonicalJID(key.Text("remoteJid"))
	if !ok {
		return invalid("invalid_chat", "A message's chat is not a WhatsApp address.")
	}
	if chat == r.own && !m.FromMe {
		return invalid("ambiguous_direction", "A message claims to be sent to us by ourselves.")
	}
	m.Chat = chat
	if isPhone(chat) || isLID(chat) {
		m.Chat, m.ChatAlt = preferPhone(chat, r.alternative(chat, key, m.FromMe))
		r.introduce(m.Chat, m.ChatAlt)
		return nil
	}
	sender, _ := canonicalJID(key.Text("participant"))
	alt, _ := canonicalJID(cmp.Or(key.Text("participantAlt"), key.Text("participantPn")))
	m.Sender, alt = preferPhone(sender, alt)
	if areOnePerson(m.Sender, alt) {
		r.introduce(m.Sender, alt)
	}
	return nil
}

// alternative returns the other address of a chat with one person: the phone
// number of a LID, or the LID of a phone number. Its place depends on the
// version: 2.3.0 to 2.3.4 have senderPn and previousRemoteJid, later ones
// remoteJidAlt.
func (r *reading) alternative(chat string, key wire.Object, fromMe bool) string {
	candidates := []string{key.Text("remoteJidAlt"), key.Text("previousRemoteJid")}
	if !fromMe { // otherwise the sender is us
		candidates = append(candidates, key.Text("senderPn"))
	}
	for _, candidate := range candidates {
		jid, ok := canonicalJID(candidate)
		if ok && jid != r.own && areOnePerson(chat, jid) {
			return jid
		}
	}
	return ""
}

// preferPhone orders two addresses of one person: the phone number first, when
// one of them is one. WhatsApp alternates between them for the same person.
func preferPhone(jid, alt string) (preferred, other string) {
	switch {
	case alt == jid:
		return jid, ""
	case jid == "", isPhone(alt) && !isPhone(jid):
		return alt, jid
	}
	return jid, alt
}

// pushName returns the name the writer chose. In its place the gateway puts the
// number, or "Você" for ourselves whatever our name is.
func pushName(m gateway.Message, record wire.Object) string {
	name := wire.Sanitize(record.Text("pushName"), wire.MaxNameRunes)
	switch name {
	case user(m.Chat), user(m.ChatAlt), user(m.Sender):
		return ""
	case "Você":
		if m.FromMe {
			return ""
		}
	}
	return name
}
