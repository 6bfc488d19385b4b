package evolution

import (
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// account is what the messages of one event have in common.
type account struct {
	own     string // JID of the instance's own number; empty if not said
	echo    bool   // they were sent through the gateway's API
	history bool   // they come from a history sync
}

// message reads one message. ok is false for what WhatsApp transports as a
// message and is none, such as an edit or a timer setting.
func (a account) message(record wire.Object) (m gateway.Message, ok bool, err error) {
	if record == nil {
		return m, false, invalid("malformed_data", "A message is not an object.")
	}
	key := wire.ObjectOf(record.Get("key"))
	if key == nil {
		return m, false, invalid("missing_key", "A message has no key.")
	}
	c := contentOf(record.Get("message"))
	if c.isProtocol {
		return m, false, nil
	}
	m = gateway.Message{
		Echo: a.echo, History: a.history,
		Type: c.kind, Text: wire.Sanitize(c.text, wire.MaxTextRunes), QuotedID: first(c.target, quotedBy(record)),
		At: timeOf(record.Get("messageTimestamp")),
	}
	if m.ID, err = wire.MessageID(key.Get("id")); err != nil {
		return gateway.Message{}, false, err
	}
	if err := a.address(&m, key); err != nil {
		return gateway.Message{}, false, err
	}
	if m.Content, err = c.storable(); err != nil {
		return gateway.Message{}, false, err
	}
	if m.FromMe {
		m.Status, _ = statusOf(record.Text("status"))
	}
	m.PushName = pushName(m, record)
	return m, true, nil
}
