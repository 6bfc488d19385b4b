package cloud

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

const (
	maxOursBytes   = 512 // what biz_opaque_callback_data can hold
	maxReasonRunes = 300
)

// status reads evidence about a message of ours. In a group there is one for
// each participant.
func (n *number) status(_ string, raw json.RawMessage) error {
	record := wire.ObjectOf(raw)
	if record == nil {
		return invalid("malformed_data", "A status is not an object.")
	}
	id, err := wire.MessageID(record.Get("id"))
	if err != nil {
		return err
	}
	status, known := statusOf(record.Text("status"))
	if !known {
		return invalid("unknown_status", "A status is not one that the Cloud API is known to send.")
	}
	e := gateway.Evidence{Account: n.account, MessageID: id, Status: status, At: timeOf(record)}
	if ours := record.Text("biz_opaque_callback_data"); len(ours) <= maxOursBytes {
		e.Ours = wire.Sanitize(ours, maxOursBytes)
	}
	if status == gateway.StatusFailed {
		e.Code, e.Reason = failureOf(record)
	}
	n.update.Statuses = append(n.update.Statuses, e)
	return nil
}

func statusOf(name string) (gateway.Status, bool) {
	switch name {
	case "sent":
		return gateway.StatusSent, true
	case "delivered":
		return gateway.StatusDelivered, true
	case "read":
		return gateway.StatusRead, true
	case "played":
		return gateway.StatusPlayed, true
	case "failed":
		return gateway.StatusFailed, true
	}
	return "", false
}

// failureOf returns the code and the words of a status's first error.
func failureOf(status wire.Object) (code, reason string) {
	e := wire.ObjectOf(wire.First(status.Get("errors")))
	if n, ok := wire.Number(e.Get("code")); ok {
		code = strconv.FormatInt(n, 10)
	}
	return code, reasonOf(e)
}

// reasonOf says in one line what an error of a webhook is: its title, and the
// details unless they repeat it.
func reasonOf(e wire.Object) string {
	title, details := e.Text("title"), e.Object("error_data").Text("details")
	if title == "" {
		title = e.Text("message")
	}
	if !strings.Contains(title, details) {
		title += ": " + details
	}
	reason := wire.FirstRunes(wire.MaskNumbers(wire.OneLine(title)), maxReasonRunes)
	if reason == "" {
		return "failed"
	}
	return reason
}

// historyStatus reads how far one of our old messages had come. Elsewhere than in
// the history there is nothing to read.
func historyStatus(record wire.Object) gateway.Status {
	switch record.Object("history_context").Text("status") {
	case "PENDING":
		return gateway.StatusAccepted
	case "SENT":
		return gateway.StatusSent
	case "DELIVERED":
		return gateway.StatusDelivered
	case "READ":
		return gateway.StatusRead
	case "PLAYED":
		return gateway.StatusPlayed
	case "ERROR":
		return gateway.StatusFailed
	}
	return ""
}
