package cloud

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// chunk reads a piece of the history that the WhatsApp Business app shares when
// its number comes to the Cloud API as well. Pieces come in any order. Instead of
// one there is an error when the business has declined to share.
func (n *number) chunk(at string, raw json.RawMessage) error {
	record := wire.ObjectOf(raw)
	declined := n.each(at+".errors", record.Get("errors"), n.reported)
	shared := n.each(at+".threads", record.Get("threads"), n.thread)
	if !declined && !shared {
		return invalid("malformed_data", "A piece of the history has no threads.")
	}
	return nil
}

// thread reads a chat with one person. Groups are not shared.
func (n *number) thread(at string, raw json.RawMessage) error {
	record := wire.ObjectOf(raw)
	who := record.Object("context")
	phone, known := wire.Text(who.Get("wa_id"))
	if !known {
		phone = record.Text("id")
	}
	other := n.people.complete(personOf(phone, who.Text("user_id")))
	if jid, _ := other.jid(); jid == "" {
		return invalid("invalid_chat", "A thread of the history does not say whose it is.")
	}
	isList := n.each(at+".messages", record.Get("messages"), func(_ string, raw json.RawMessage) error {
		record := wire.ObjectOf(raw)
		fromMe, ok := n.isOurs(record, other)
		if !ok {
			return invalid("ambiguous_direction", "A message of the history does not say who wrote it.")
		}
		return n.keep(raw, record, other, fromMe)
	})
	if !isList {
		return invalid("malformed_data", "A thread of the history has no messages.")
	}
	return nil
}

// isOurs tells which of the two sides of a thread wrote a message. Guessing wrong
// would put words into somebody's mouth, so a third number means that it cannot
// be told.
func (n *number) isOurs(record wire.Object, other person) (fromMe, ok bool) {
	writer := personOf(record.Text("from"), record.Text("from_user_id"))
	switch {
	case writer.phone != "" && writer.phone == n.own:
		return true, true
	case writer.phone != "" && writer.phone == other.phone, writer.bsuid != "" && writer.bsuid == other.bsuid:
		return false, true
	}
	return false, false
}
