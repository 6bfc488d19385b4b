package history

import (
	"encoding/json"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

func messageOf(m db.ShownMessage) Message {
	out := Message{
		ID: m.ID, Instance: m.Instance, Chat: m.Chat, Direction: string(m.Direction), Status: string(m.Status),
		Type: m.Type, Text: m.Text, Sender: m.Sender, GatewayMessageID: m.GatewayMessageID, ReplyTo: m.ReplyTo,
		Priority: string(m.Priority), SendAt: utc(m.SendAt), ExpiresAt: utc(m.ExpiresAt), Metadata: json.RawMessage(m.Metadata),
		CreatedAt: m.CreatedAt.UTC(), AcceptedAt: utc(m.AcceptedAt), SentAt: utc(m.SentAt),
		DeliveredAt: utc(m.DeliveredAt), ReadAt: utc(m.ReadAt), EditedAt: utc(m.EditedAt), DeletedAt: utc(m.DeletedAt),
		AckOverdueAt: utc(m.AckOverdueAt),
	}
	if len(m.Content) > 0 && json.Unmarshal(m.Content, &out.Content) != nil {
		out.Content = gateway.Content{Raw: json.RawMessage(m.Content)} // an earlier version's
	}
	if out.Reaction != nil && m.ReplyTo != nil {
		out.Reaction.To = m.ReplyTo.String()
	}
	if m.ErrorCode != nil {
		out.Error = errorOf(m.ErrorCode, m.ErrorText)
	}
	if m.Status == db.MessageStatusFailed {
		out.FailedAt = utc(m.StoppedAt)
	}
	return out
}

// attempt is a row of attempts as JSON.
type attempt struct {
	Attempt    int       `json:"attempt"`
	StartedAt  time.Time `json:"started_at"`
	DurationMS int       `json:"duration_ms"`
	Outcome    string    `json:"outcome"`
	HTTPStatus *int      `json:"http_status"`
	Code       *string   `json:"code"`
	Reason     *string   `json:"reason"`
}

func attemptsOf(rows []attempt) []Attempt {
	out := make([]Attempt, len(rows))
	for i, a := range rows {
		out[i] = Attempt{
			Attempt: a.Attempt, StartedAt: a.StartedAt.UTC(), DurationMS: a.DurationMS, Outcome: a.Outcome,
			HTTPStatus: a.HTTPStatus, Error: errorOf(a.Code, a.Reason),
		}
	}
	return out
}

// receiptOf reads a row of read_receipts as JSON; null means that there is none.
func receiptOf(encoded []byte) (*Receipt, error) {
	var row *struct {
		AskedAt       time.Time  `json:"asked_at"`
		NextAttemptAt *time.Time `json:"next_attempt_at"`
		Attempt       int        `json:"attempt"`
		DoneAt        *time.Time `json:"done_at"`
		ErrorCode     *string    `json:"error_code"`
		ErrorText     *string    `json:"error_text"`
	}
	if err := json.Unmarshal(encoded, &row); err != nil || row == nil {
		return nil, err
	}
	r := &Receipt{Status: "failed", AskedAt: row.AskedAt.UTC(), DoneAt: utc(row.DoneAt), Attempts: row.Attempt, Error: errorOf(row.ErrorCode, row.ErrorText)}
	switch {
	case row.DoneAt != nil:
		r.Status = "done"
	case row.NextAttemptAt != nil:
		r.Status = "pending"
	}
	return r, nil
}

func errorOf(code, reason *string) *Error {
	if code == nil {
		return nil
	}
	e := &Error{Code: *code}
	if reason != nil {
		e.Message = *reason
	}
	return e
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func knownStatus(s db.MessageStatus) bool {
	switch s {
	case db.MessageStatusReceived, db.MessageStatusScheduled, db.MessageStatusQueued, db.MessageStatusSending,
		db.MessageStatusUnknown, db.MessageStatusFailed, db.MessageStatusCanceled, db.MessageStatusExpired,
		db.MessageStatusAccepted, db.MessageStatusSent, db.MessageStatusDelivered, db.MessageStatusRead, db.MessageStatusPlayed:
		return true
	}
	return false
}

// isOpen reports whether messages of a status are not settled.
func isOpen(status string) bool {
	switch db.MessageStatus(status) { //nolint:exhaustive // the others are settled
	case db.MessageStatusScheduled, db.MessageStatusQueued, db.MessageStatusSending, db.MessageStatusUnknown:
		return true
	}
	return false
}

// isStopped reports whether messages of a status ended without being sent.
func isStopped(status string) bool {
	switch db.MessageStatus(status) { //nolint:exhaustive // the others went on
	case db.MessageStatusFailed, db.MessageStatusCanceled, db.MessageStatusExpired:
		return true
	}
	return false
}
