package evolution

import (
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
	"github.com/msgorch/msgorch/internal/secret"
)

// maxPresences bounds of how many people one event can tell. A group that is that
// lively is only noise.
const maxPresences = 1000

// presence reads what people are doing in a chat.
func (r *reading) presence(record wire.Object) error {
	chat, ok := canonicalJID(record.Text("id"))
	if !ok {
		return nil
	}
	for _, m := range record.Object("presences") {
		if len(r.update.Presence) == maxPresences {
			break
		}
		jid, ok := canonicalJID(string(m.Name))
		about := wire.ObjectOf(m.Value)
		state := about.Text("lastKnownPresence")
		switch state {
		case gateway.PresenceAvailable, gateway.PresenceUnavailable, gateway.PresenceComposing,
			gateway.PresenceRecording, gateway.PresencePaused:
		default:
			ok = false
		}
		if ok {
			r.update.Presence = append(r.update.Presence, gateway.Presence{
				Chat: chat, JID: jid, State: state, LastSeen: timeOf(about.Get("lastSeen")),
			})
		}
	}
	return nil
}

// call reads how far a call has come. The caller may be told by a LID.
func (r *reading) call(record wire.Object) error {
	status := record.Text("status")
	switch status {
	case gateway.CallOffer, gateway.CallRinging, gateway.CallAccept, gateway.CallReject, gateway.CallTimeout, gateway.CallTerminate:
	default: // technical steps between them
		return nil
	}
	id, err := wire.MessageID(record.Get("id"))
	if err != nil {
		return err
	}
	from, alias := r.personIn(record, "from", "callerPn", "chatId")
	if from == "" {
		return invalid("invalid_chat", "A call does not say who calls.")
	}
	r.introduce(from, alias)
	r.update.Calls = append(r.update.Calls, gateway.Call{
		ID: id, From: from, Status: status, Video: wire.IsTrue(record.Get("isVideo")), At: dateOf(record),
	})
	return nil
}

// dateOf reads the date of a call, which is a text such as
// 2025-11-23T06:40:00.000Z. It returns the zero time for what is no credible date.
func dateOf(record wire.Object) time.Time {
	if at, err := time.Parse(time.RFC3339, record.Text("date")); err == nil {
		return wire.Time(at.Unix())
	}
	return timeOf(record.Get("date"))
}

// label reads a label of the business app.
func (r *reading) label(record wire.Object) error {
	id := line(record, "id")
	if id == "" {
		return nil
	}
	l := gateway.Label{
		ID: id, Name: wire.Sanitize(wire.OneLine(record.Text("name")), wire.MaxNameRunes), Deleted: wire.IsTrue(record.Get("deleted")),
	}
	if color, ok := numberOf(record.Get("color")); ok && 0 <= color && color < 1000 {
		l.Color = int(color)
	}
	r.update.Labels = append(r.update.Labels, l)
	return nil
}

// labelChange reads that a chat, or a message in it, got a label or lost it.
func (r *reading) labelChange(record wire.Object) error {
	chat, ok := canonicalJID(record.Text("chatId"))
	id, kind := line(record, "labelId"), record.Text("type")
	if !ok || id == "" || kind != "add" && kind != "remove" {
		return nil
	}
	r.update.LabelChanges = append(r.update.LabelChanges, gateway.LabelChange{
		LabelID: id, Chat: chat, MessageID: validID(record.Text("messageId")), Removed: kind == "remove",
	})
	return nil
}

// qr reads the way into the account, or that there will be no more of them.
func (r *reading) qr(record wire.Object) error {
	if record.Get("qrcode") == nil {
		if _, ok := numberOf(record.Get("statusCode")); ok {
			r.update.QR = &gateway.QR{Exhausted: true}
		}
		return nil
	}
	code := record.Object("qrcode")
	qr := gateway.QR{
		Code:        secret.Text(code.Text("code")),
		PairingCode: secret.Text(code.Text("pairingCode")),
		Image:       secret.Text(code.Text("base64")),
	}
	if qr != (gateway.QR{}) {
		r.update.QR = &qr
	}
	return nil
}
