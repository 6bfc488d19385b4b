package evolution

import (
	"encoding/json"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
)

const (
	maxMessageIDBytes = 128
	maxTextRunes      = 65_536 // what WhatsApp allows in one message
	maxNameRunes      = 256
)

// account is what the messages of one event have in common.
type account struct {
	own     string // JID of the instance's own number; empty if not said
	echo    bool   // they were sent through the gateway's API
	history bool   // they come from a history sync
}

// message reads one message. ok is false for what WhatsApp transports as a
// message and is none, such as an edit or a timer setting.
func (a account) message(record object) (m gateway.Message, ok bool, err error) {
	if record == nil {
		return m, false, invalid("malformed_data", "A message is not an object.")
	}
	key := objectOf(record.get("key"))
	if key == nil {
		return m, false, invalid("missing_key", "A message has no key.")
	}
	c := contentOf(record.get("message"))
	if c.isProtocol {
		return m, false, nil
	}
	m = gateway.Message{
		Echo: a.echo, History: a.history,
		Type: c.kind, Text: sanitize(c.text, maxTextRunes), QuotedID: first(c.target, quotedBy(record)),
		At: timeOf(record.get("messageTimestamp")),
	}
	if m.ID, err = messageID(key.get("id")); err != nil {
		return gateway.Message{}, false, err
	}
	if err := a.address(&m, key); err != nil {
		return gateway.Message{}, false, err
	}
	if m.Content, err = c.storable(); err != nil {
		return gateway.Message{}, false, err
	}
	if m.FromMe {
		m.Status, _ = statusOf(record.text("status"))
	}
	m.PushName = pushName(m, record)
	return m, true, nil
}

// messageID reads a message's id: opaque text that is stored as it came.
func messageID(raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", invalid("missing_message_id", "A message has no id.")
	}
	id, ok := textOf(raw)
	if !ok || !isMessageID(id) {
		return "", invalid("invalid_message_id", "A message's id is not a text of 1 to 128 bytes.")
	}
	return id, nil
}

func isMessageID(id string) bool {
	return id != "" && len(id) <= maxMessageIDBytes && !strings.Contains(id, "\x00")
}
