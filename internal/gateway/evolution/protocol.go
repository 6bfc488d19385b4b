package evolution

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// protocol reads a message of WhatsApp's own, of which an edit and a deletion mean
// something to us. The key in it is its writer's view of the other message, so
// nothing but the id counts. At is when it came, in case it does not say itself.
func (r *reading) protocol(p wire.Object, at time.Time) error {
	kind := protocolKind(p.Get("type"))
	if kind == "" {
		return nil
	}
	id, err := wire.MessageID(p.Object("key").Get("id"))
	if err != nil {
		return err
	}
	if told := timeOf(p.Get("timestampMs")); !told.IsZero() {
		at = told
	}
	if kind == "REVOKE" {
		r.update.Deletions = append(r.update.Deletions, gateway.Deletion{MessageID: id, At: at})
		return nil
	}
	c := contentOf(p.Get("editedMessage"))
	if c.kind == gateway.TypeUnknown {
		return invalid("missing_content", "An edit does not say what the message says now.")
	}
	r.edit(id, c, at)
	return nil
}

// protocolKind returns REVOKE or MESSAGE_EDIT, which come as words or as the
// numbers that WhatsApp has for them, and "" for anything else. A type that is
// missing is nothing, although it is what REVOKE looks like where defaults are
// left out: a deletion is not to be guessed.
func protocolKind(raw json.RawMessage) string {
	name, ok := wire.Text(raw)
	if !ok {
		name = string(raw)
	}
	switch name {
	case "REVOKE", "0":
		return "REVOKE"
	case "MESSAGE_EDIT", "14":
		return "MESSAGE_EDIT"
	}
	return ""
}

func (r *reading) edit(id string, c content, at time.Time) {
	r.update.Edits = append(r.update.Edits, gateway.Edit{MessageID: id, Text: wire.Sanitize(c.text, wire.MaxTextRunes), At: at})
}

// edited reads messages.edited and send.message.update, whose data is WhatsApp's
// own message itself. Some emitters leave it in the message that it came in.
func (r *reading) edited(record wire.Object) error {
	if record == nil {
		return invalid("malformed_data", "An edit is not an object.")
	}
	if record.Get("message") != nil && record.Get("type") == nil {
		if c := contentOf(record.Get("message")); c.protocol != nil {
			return r.protocol(c.protocol, timeOf(record.Get("messageTimestamp")))
		}
	}
	return r.protocol(record, time.Time{})
}

// deleted reads messages.delete. What is deleted through the gateway's API comes
// as a row of its database, where the id of the message is in the key and another
// one in its place.
func (r *reading) deleted(record wire.Object) error {
	if record == nil {
		return invalid("malformed_data", "A deletion is not an object.")
	}
	raw := record.Get("id")
	if key := record.Object("key"); key != nil {
		raw = key.Get("id")
	}
	id, err := wire.MessageID(raw)
	if err != nil {
		return err
	}
	r.update.Deletions = append(r.update.Deletions, gateway.Deletion{MessageID: id})
	return nil
}

// changed reads the new content in a record of messages.update, if we have words
// for it. Beside a status of its own it counts only if it says itself that it is
// an edit.
func (r *reading) changed(id string, record wire.Object, hasStatus bool) {
	c := contentOf(record.Get("message"))
	saysSo := c.edited
	if p := c.protocol; p != nil && protocolKind(p.Get("type")) == "MESSAGE_EDIT" {
		id, saysSo = cmp.Or(keyID(p, "key"), id), true
		c = contentOf(p.Get("editedMessage"))
	}
	if c.kind != gateway.TypeUnknown && (saysSo || !hasStatus) {
		r.edit(id, c, timeOf(record.Get("messageTimestamp")))
	}
}
