package cloud

import (
	"encoding/json"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// received reads a message that somebody has written to us.
func (n *number) received(_ string, raw json.RawMessage) error {
	record := wire.ObjectOf(raw)
	writer := n.people.complete(personOf(record.Text("from"), record.Text("from_user_id")))
	if writer.phone != "" && writer.phone == n.own {
		return invalid("ambiguous_direction", "A message claims to be sent to us by ourselves.")
	}
	if record.Text("type") == "system" && n.moved(writer, record.Object("system")) {
		if jid, _ := writer.jid(); jid == "" {
			return nil // there is no chat to keep it in, and what it says has been read
		}
	}
	return n.keep(raw, record, writer, false)
}

// echoed reads a message that one of us has written in the WhatsApp Business app
// or on a device linked to it, and not through the API.
func (n *number) echoed(_ string, raw json.RawMessage) error {
	record := wire.ObjectOf(raw)
	return n.keep(raw, record, n.people.complete(personOf(record.Text("to"), record.Text("to_user_id"))), true)
}

// keep adds a message, or the edit or deletion that it is, to the update. The
// other side of the chat is its writer, or its reader if it is from us.
func (n *number) keep(raw json.RawMessage, record wire.Object, other person, fromMe bool) error {
	if record == nil {
		return invalid("malformed_data", "A message is not an object.")
	}
	switch record.Text("type") {
	case "edit":
		return n.edited(record)
	case "revoke":
		return n.deleted(record)
	}
	id, err := wire.MessageID(record.Get("id"))
	if err != nil {
		return err
	}
	c, err := contentOf(raw, record)
	if err != nil {
		return err
	}
	m := gateway.Message{
		Account: n.account, ID: id, FromMe: fromMe, History: n.history,
		Type: c.kind, Text: c.text, QuotedID: c.target, Media: c.file(), At: timeOf(record),
	}
	if m.Content, err = c.stored(); err != nil {
		return err
	}
	if err := address(&m, record, other); err != nil {
		return err
	}
	if fromMe {
		m.Status = historyStatus(record)
	}
	n.add(m)
	n.introduce(other)
	return nil
}

// address fills in which chat a message belongs to, and who wrote it.
func address(m *gateway.Message, record wire.Object, other person) error {
	m.Chat, m.ChatAlt = other.jid()
	if !m.FromMe {
		m.PushName = other.name
	}
	if group := record.Get("group_id"); !wire.IsNull(group) {
		if !m.FromMe {
			m.Sender = m.Chat
		}
		id, _ := wire.Text(group) // what is no text is no group either, and no chat with one person
		m.Chat, m.ChatAlt = groupJID(id), ""
	}
	if m.Chat == "" {
		return invalid("invalid_chat", "A message does not say whose it is.")
	}
	return nil
}

// add adds a message that the body has not told of already.
func (n *number) add(m gateway.Message) {
	if n.messages == nil {
		n.messages = map[key]bool{}
	}
	if k := (key{m.Account, m.ID}); !n.messages[k] {
		n.messages[k] = true
		n.update.Messages = append(n.update.Messages, m)
	}
}

// edited reads a new text of an earlier message. Meta sends edits to numbers that
// are in use by the app as well.
func (n *number) edited(record wire.Object) error {
	edit := record.Object("edit")
	id, err := wire.MessageID(edit.Get("original_message_id"))
	if err != nil {
		return err
	}
	c, err := contentOf(edit.Get("message"), edit.Object("message"))
	if err != nil {
		return err
	}
	if c.kind == gateway.TypeUnknown {
		return invalid("missing_content", "An edit does not say what the message says now.")
	}
	n.update.Edits = append(n.update.Edits, gateway.Edit{Account: n.account, MessageID: id, Text: c.text, At: timeOf(record)})
	return nil
}

// deleted reads that an earlier message was deleted for everyone.
func (n *number) deleted(record wire.Object) error {
	id, err := wire.MessageID(record.Object("revoke").Get("original_message_id"))
	if err != nil {
		return err
	}
	n.update.Deletions = append(n.update.Deletions, gateway.Deletion{Account: n.account, MessageID: id, At: timeOf(record)})
	return nil
}

// timeOf reads when something happened: seconds, as text or as a number. It
// returns the zero time for what is no credible date.
func timeOf(record wire.Object) time.Time {
	n, ok := wire.Number(record.Get("timestamp"))
	if !ok {
		return time.Time{}
	}
	return wire.Time(n)
}
