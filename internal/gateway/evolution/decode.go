// Package evolution is the dialect of Evolution API, the gateway that speaks
// WhatsApp Web through Baileys and, as its Cloud channel, the Cloud API. It
// believes neither the gateway's HTTP status nor the types in its JSON: both
// change with the version and the channel.
package evolution

import (
	"encoding/json"
	"iter"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Decoder reads the webhooks of Evolution API, versions 1.8 to 2.4.
type Decoder struct{}

// Decode implements gateway.Decoder. An event whose content says nothing we
// keep is not Handled: contacts without an address, an update without a
// status. Edits and deletions are not decoded yet.
func (Decoder) Decode(event string, body []byte) (gateway.Update, error) {
	top, err := wire.Open(body)
	if err != nil {
		return gateway.Update{}, err
	}
	data := top.Get("data")
	own, _ := canonicalJID(top.Text("sender")) // absent before the first connection
	var u gateway.Update
	switch event {
	case "messages.upsert":
		u.Messages, err = decodeMessages(data, account{own: own})
	case "messages.set":
		u.Messages, err = decodeHistory(data, account{own: own, history: true})
	case "send.message":
		u.Messages, err = decodeMessages(data, account{own: own, echo: true})
	case "messages.update":
		u.Statuses, err = decodeStatuses(data)
	case "connection.update":
		u.Connection, err = decodeConnection(data)
	case "status.instance":
		u.Connection, err = decodeInstanceStatus(data)
	case "contacts.set", "contacts.upsert", "contacts.update":
		u.Contacts, err = decodeContacts(data)
	case "chats.set", "chats.upsert", "chats.update":
		u.Chats, err = decodeChats(data)
	default:
		if !isIgnored(event) {
			err = invalid("unknown_event", "No version of the gateway is known to send this event.")
		}
	}
	if err != nil {
		return gateway.Update{}, err
	}
	u.Handled = len(u.Messages)+len(u.Statuses)+len(u.Contacts)+len(u.Chats) > 0 || u.Connection != nil
	return u, nil
}

// items yields data's objects: data itself, or the elements of the array it
// is. The same event comes as one or the other. Elements that are no objects
// come as nil.
func items(data json.RawMessage) (iter.Seq[wire.Object], error) {
	if single := wire.ObjectOf(data); single != nil {
		return func(yield func(wire.Object) bool) { yield(single) }, nil
	}
	if len(data) == 0 || data[0] != '[' {
		return nil, invalid("malformed_data", "The data is neither an object nor an array.")
	}
	return func(yield func(wire.Object) bool) {
		for element := range wire.Elements(data) {
			if !yield(wire.ObjectOf(element)) {
				return
			}
		}
	}, nil
}

// decodeMessages reads messages of which none may be lost: one that cannot be
// used holds back the whole event, for a person to look at.
func decodeMessages(data json.RawMessage, at account) ([]gateway.Message, error) {
	records, err := items(data)
	if err != nil {
		return nil, err
	}
	var messages []gateway.Message
	for record := range records {
		m, ok, err := at.message(record)
		if err != nil {
			return nil, err
		}
		if ok {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// decodeHistory reads old messages. Among thousands a few may be unusable, and
// they must not hold back the others; only when nothing is usable it fails.
func decodeHistory(data json.RawMessage, at account) ([]gateway.Message, error) {
	records, err := items(data)
	if err != nil {
		return nil, err
	}
	var messages []gateway.Message
	var unusable error
	for record := range records {
		m, ok, err := at.message(record)
		if err != nil {
			unusable = err
		}
		if ok {
			messages = append(messages, m)
		}
	}
	if len(messages) == 0 {
		return nil, unusable
	}
	return messages, nil
}

func decodeContacts(data json.RawMessage) ([]gateway.Contact, error) {
	records, err := items(data)
	if err != nil {
		return nil, err
	}
	var contacts []gateway.Contact
	for record := range records {
		if jid, ok := addressOf(record); ok {
			contacts = append(contacts, gateway.Contact{JID: jid, Name: nameOf(record, "pushName", jid)})
		}
	}
	return contacts, nil
}

func decodeChats(data json.RawMessage) ([]gateway.Chat, error) {
	records, err := items(data)
	if err != nil {
		return nil, err
	}
	var chats []gateway.Chat
	for record := range records {
		if jid, ok := addressOf(record); ok {
			chats = append(chats, gateway.Chat{JID: jid, Name: nameOf(record, "name", jid)})
		}
	}
	return chats, nil
}

// addressOf returns whom a contact or chat record is about. Version 1 calls it
// id; later ones put the id of a database row there, which is no address.
func addressOf(record wire.Object) (string, bool) {
	if jid, ok := canonicalJID(record.Text("remoteJid")); ok {
		return jid, true
	}
	return canonicalJID(record.Text("id"))
}

// nameOf returns a name that somebody chose. Where there is none the gateway
// puts the number itself, which as a name would hide a real one.
func nameOf(record wire.Object, member, jid string) string {
	name := wire.Sanitize(record.Text(member), wire.MaxNameRunes)
	if name == user(jid) {
		return ""
	}
	return name
}
