package evolution

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// status reads one record of messages.update: evidence, or an edit. Whether the
// message is ours is not taken from here: the Cloud channel says fromMe=false of
// everything.
func (r *reading) status(record wire.Object) error {
	if record == nil {
		return invalid("malformed_data", "An element of the data is not an object.")
	}
	id, err := wire.MessageID(record.Get("keyId"))
	if err != nil {
		return err
	}
	raw := record.Get("status")
	name, _ := wire.Text(raw)
	hasContent := !wire.IsNull(record.Get("message"))
	none := raw == nil || // 2.2 reports edits and deletions this way
		// 2.3.0 to 2.3.5 say DELETED of any change without a status, edits
		// included, so it does not even mean deleted.
		name == "DELETED" || name == "EDITED" ||
		// Since 2.3.7 that is what any change without a status has for one.
		name == "SERVER_ACK" && hasContent
	if hasContent {
		r.changed(id, record, !none)
	}
	if none {
		return nil
	}
	status, known := statusOf(name)
	if !known {
		return invalid("unknown_status", "The status is not one the gateway is known to send.")
	}
	r.update.Statuses = append(r.update.Statuses, gateway.Evidence{MessageID: id, Status: status})
	return nil
}

// statusOf translates the names of Baileys and those of the Cloud channel.
func statusOf(name string) (gateway.Status, bool) {
	switch name {
	case "PENDING":
		return gateway.StatusAccepted, true
	case "SERVER_ACK", "SENT":
		return gateway.StatusSent, true
	case "DELIVERY_ACK", "DELIVERED":
		return gateway.StatusDelivered, true
	case "READ":
		return gateway.StatusRead, true
	case "PLAYED":
		return gateway.StatusPlayed, true
	case "ERROR", "FAILED":
		return gateway.StatusFailed, true
	}
	return "", false
}

// connection reads connection.update. The instance that data names is not looked
// at: only the envelope's was checked by anybody.
func (r *reading) connection(record wire.Object) error {
	switch state := record.Text("state"); state {
	case "open", "connecting", "close", "refused":
		r.update.Connection = &gateway.Connection{State: state, Reason: reasonOf(record.Get("statusReason"))}
		return nil
	}
	return invalid("unknown_state", "The connection's state is not one the gateway is known to send.")
}

// instanceStatus reads status.instance, which announces a final close beside
// connection.update, in any order.
func (r *reading) instanceStatus(record wire.Object) error {
	switch record.Text("status") {
	case "closed", "close", "removed":
		r.update.Connection = &gateway.Connection{State: "close", Reason: reasonOf(record.Get("disconnectionReasonCode"))}
		return nil
	}
	return invalid("unknown_state", "The instance's status is not one the gateway is known to send.")
}

// reasonOf reads a status code of three digits; anything else is 0.
func reasonOf(raw json.RawMessage) int {
	code, ok := numberOf(raw)
	if !ok || code < 100 || code > 999 {
		return 0
	}
	return int(code)
}
