package evolution

import (
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// message reads one message, or the edit or deletion that WhatsApp transports as
// one. Other business of WhatsApp's own, such as a timer setting, says nothing.
func (r *reading) message(record wire.Object) error {
	if record == nil {
		return invalid("malformed_data", "A message is not an object.")
	}
	key := record.Object("key")
	if key == nil {
		return invalid("missing_key", "A message has no key.")
	}
	c := contentOf(record.Get("message"))
	at := timeOf(record.Get("messageTimestamp"))
	if c.protocol != nil {
		if r.history { // what it changed is told as it is now
			return nil
		}
		return r.protocol(c.protocol, at)
	}
	c.note(record)
	m := gateway.Message{
		Echo: r.echo, History: r.history,
		Type: c.kind, Text: wire.Sanitize(c.text, wire.MaxTextRunes), QuotedID: c.target, At: at,
	}
	var err error
	if m.ID, err = wire.MessageID(key.Get("id")); err != nil {
		return err
	}
	if m.Content, err = c.stored(); err != nil {
		return err
	}
	m.Media = c.file(m.ID)
	if err := r.address(&m, key); err != nil {
		return err
	}
	if m.FromMe {
		m.Status, _ = statusOf(record.Text("status"))
	}
	m.PushName = pushName(m, record)
	r.update.Messages = append(r.update.Messages, m)
	if c.edited && !r.history {
		// It has the id that it had before, so that it may be known already, and
		// under its former text.
		r.edit(m.ID, c, at)
	}
	return nil
}
