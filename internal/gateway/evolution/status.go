package evolution

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// decodeStatuses reads evidence. Whether a message is ours is not taken from
// here: the Cloud channel says fromMe=false of everything.
func decodeStatuses(data json.RawMessage) ([]gateway.Evidence, error) {
	records, err := items(data)
	if err != nil {
		return nil, err
	}
	var statuses []gateway.Evidence
	for record := range records {
		e, ok, err := evidence(record)
		if err != nil {
			return nil, err
		}
		if ok {
			statuses = append(statuses, e)
		}
	}
	return statuses, nil
}

// evidence reads one record of messages.update; ok is false when it is about
// something else than a status.
func evidence(record wire.Object) (_ gateway.Evidence, ok bool, _ error) {
	if record == nil {
		return gateway.Evidence{}, false, invalid("malformed_data", "An element of the data is not an object.")
	}
	id, err := wire.MessageID(record.Get("keyId"))
	if err != nil {
		return gateway.Evidence{}, false, err
	}
	raw := record.Get("status")
	if raw == nil { // 2.2 reports edits and deletions this way
		return gateway.Evidence{}, false, nil
	}
	name, _ := wire.Text(raw)
	switch {
	case name == "DELETED", name == "EDITED":
		// 2.3.0 to 2.3.5 say DELETED of any change without a status, edits
		// included, so it does not even mean deleted.
		return gateway.Evidence{}, false, nil
	case name == "SERVER_ACK" && !wire.IsNull(record.Get("message")):
		// Since 2.3.7 this is how an edit looks.
		return gateway.Evidence{}, false, nil
	}
	status, known := statusOf(name)
	if !known {
		return gateway.Evidence{}, false, invalid("unknown_status", "The status is not one the gateway is known to send.")
	}
	return gateway.Evidence{MessageID: id, Status: status}, true, nil
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

// decodeConnection reads connection.update. The instance that data names is not
// looked at: only the envelope's was checked by anybody.
func decodeConnection(data json.RawMessage) (*gateway.Connection, error) {
	record := wire.ObjectOf(data)
	if record == nil {
		return nil, invalid("malformed_data", "The data is not an object.")
	}
	switch state := record.Text("state"); state {
	case "open", "connecting", "close", "refused":
		return &gateway.Connection{State: state, Reason: reasonOf(record.Get("statusReason"))}, nil
	}
	return nil, invalid("unknown_state", "The connection's state is not one the gateway is known to send.")
}

// decodeInstanceStatus reads status.instance, which announces a final close
// beside connection.update, in any order.
func decodeInstanceStatus(data json.RawMessage) (*gateway.Connection, error) {
	record := wire.ObjectOf(data)
	if record == nil {
		return nil, invalid("malformed_data", "The data is not an object.")
	}
	switch record.Text("status") {
	case "closed", "close", "removed":
		return &gateway.Connection{State: "close", Reason: reasonOf(record.Get("disconnectionReasonCode"))}, nil
	}
	return nil, invalid("unknown_state", "The instance's status is not one the gateway is known to send.")
}

// reasonOf reads a status code of three digits; anything else is 0.
func reasonOf(raw json.RawMessage) int {
	code, ok := numberOf(raw)
	if !ok || code < 100 || code > 999 {
		return 0
	}
	return int(code)
}
