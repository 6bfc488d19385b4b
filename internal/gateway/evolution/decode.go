// Package evolution is the dialect of Evolution API, the gateway that speaks
// WhatsApp Web through Baileys and, as its Cloud channel, the Cloud API. It
// believes neither the gateway's HTTP status nor the types in its JSON: both
// change with the version and the channel.
package evolution

import (
	"encoding/json"
	"fmt"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Decoder reads the webhooks of Evolution API, versions 1.8 to 2.4.
type Decoder struct{}

// Decode implements gateway.Decoder. An event whose content says nothing we
// keep is not Handled: contacts without an address, an update without a status.
func (Decoder) Decode(event string, body []byte) (gateway.Update, error) {
	top, err := wire.Open(body)
	if err != nil {
		return gateway.Update{}, err
	}
	r := reading{echo: event == "send.message" || event == gateway.EventFound, history: event == "messages.set"}
	r.own, _ = canonicalJID(top.Text("sender")) // absent before the first connection
	if err := r.read(event, top.Get("data")); err != nil {
		return gateway.Update{}, err
	}
	u := &r.update
	u.Handled = len(u.Messages)+len(u.Statuses)+len(u.Contacts)+len(u.Chats)+len(u.Edits)+len(u.Deletions) > 0 ||
		len(u.Presence)+len(u.Groups)+len(u.Calls)+len(u.Labels)+len(u.LabelChanges) > 0 ||
		u.Connection != nil || u.QR != nil
	return *u, nil
}

// reading is what has been understood of one event so far.
type reading struct {
	own     string // JID of the instance's own number; empty if not said
	echo    bool   // its messages were sent through the gateway's API, or may have been
	history bool   // its messages come from a history sync
	update  gateway.Update
	people  map[string]int // index in update.Contacts, by JID
}

// read reads the data of an event. This is every event that says anything.
func (r *reading) read(event string, data json.RawMessage) error {
	switch event {
	case "messages.upsert", "send.message", gateway.EventFound:
		return each(data, r.message)
	case "messages.set":
		return r.readHistory(data)
	case "messages.update":
		return each(data, r.status)
	case "messages.edited", "send.message.update":
		return each(data, r.edited)
	case "messages.delete":
		return each(data, r.deleted)
	case "connection.update":
		return each(data, r.connection)
	case "status.instance":
		return each(data, r.instanceStatus)
	case "qrcode.updated":
		return each(data, r.qr)
	case "contacts.set", "contacts.upsert", "contacts.update":
		return each(data, r.contact)
	case "chats.set", "chats.upsert", "chats.update":
		return each(data, r.chat)
	case "groups.upsert", "groups.update", "group.update":
		return each(data, r.group)
	case "group-participants.update":
		return each(data, r.members)
	case "presence.update":
		return each(data, r.presence)
	case "call":
		return each(data, r.call)
	case "labels.edit":
		return each(data, r.label)
	case "labels.association":
		return each(data, r.labelChange)
	}
	if !isIgnored(event) {
		return invalid("unknown_event", "No version of the gateway is known to send this event.")
	}
	return nil
}

// each reads data's objects: data itself, or the elements of the array it is. The
// same event comes as one or the other. Elements that are no objects come as nil.
// One that cannot be used holds back the whole event, for a person to look at.
func each(data json.RawMessage, read func(wire.Object) error) error {
	if single := wire.ObjectOf(data); single != nil {
		return read(single)
	}
	if !wire.IsArray(data) {
		return invalid("malformed_data", "The data is neither an object nor an array.")
	}
	for element := range wire.Elements(data) {
		if err := read(wire.ObjectOf(element)); err != nil {
			return err
		}
	}
	return nil
}

// readHistory reads old messages. Among thousands a few may be unusable, and they
// must not hold back the others: they are named. Only when nothing is usable it
// fails.
func (r *reading) readHistory(data json.RawMessage) error {
	var unusable error
	n, refused := 0, 0
	err := each(data, func(record wire.Object) error {
		err := r.message(record)
		if err != nil {
			if refused++; refused <= maxUnusable {
				r.update.Unusable = append(r.update.Unusable, fmt.Sprintf("data[%d]: %s", n, fault.Of(err).Detail))
			}
			unusable = err
		}
		n++
		return nil
	})
	if err == nil && len(r.update.Messages) == 0 {
		err = unusable
	}
	if refused > maxUnusable {
		r.update.Unusable = append(r.update.Unusable, fmt.Sprintf("And %d more.", refused-maxUnusable))
	}
	return err
}

// maxUnusable bounds how many reasons one event can give.
const maxUnusable = 100
