package outbound

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

// compose makes of a row what is handed to its gateway, or the answer of a message
// that cannot be sent as it is.
func (s *Service) compose(ctx context.Context, h head) (gateway.Outgoing, *gateway.Answer) {
	m := gateway.Outgoing{ID: h.ID.String(), To: h.Chat, Type: h.Type}
	if h.Text != nil {
		m.Text = *h.Text
	}
	if h.QuotedID != nil {
		m.QuotedID = *h.QuotedID
	}
	if len(h.Content) == 0 {
		return m, nil
	}
	m.Content = new(gateway.Content)
	if err := json.Unmarshal(h.Content, m.Content); err != nil {
		return m, &gateway.Answer{Outcome: gateway.Permanent, Code: "content_unreadable", Reason: "The stored content cannot be read."}
	}
	if r := m.Content.Reaction; r != nil {
		if m.QuotedID == "" {
			return m, &gateway.Answer{Outcome: gateway.Permanent, Code: "unknown_target", Reason: "The gateway does not know the message that this one reacts to."}
		}
		r.To, r.FromMe, m.QuotedID = m.QuotedID, h.QuotesUs, ""
	}
	if f := m.Content.Media; f != nil && f.URL == "" {
		data, err := db.New(s.c.Pool).UploadOf(ctx, h.ID)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return m, &gateway.Answer{Outcome: gateway.Permanent, Code: "file_deleted", Reason: "The file is not kept any more; send it again."}
		case err != nil:
			return m, &gateway.Answer{Outcome: gateway.Retry, Code: "file_unreadable", Reason: "The file could not be read from the database."}
		}
		f.Base64 = base64.StdEncoding.EncodeToString(data)
	}
	return m, nil
}
