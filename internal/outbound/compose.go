package outbound

import (
	"context"
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
)

// compose makes of a row what is handed to its gateway, or the answer of a message
// that cannot be sent as it is. What it loaded is to be released once it was sent.
func (s *Service) compose(ctx context.Context, h head) (m gateway.Outgoing, file loaded, _ *gateway.Answer) {
	m = gateway.Outgoing{ID: h.ID.String(), To: h.Chat, Type: h.Type}
	if h.Text != nil {
		m.Text = *h.Text
	}
	if h.QuotedID != nil {
		m.QuotedID = *h.QuotedID
	}
	if len(h.Content) == 0 {
		return m, file, nil
	}
	m.Content = new(gateway.Content)
	if err := json.Unmarshal(h.Content, m.Content); err != nil {
		return m, file, &gateway.Answer{Outcome: gateway.Permanent, Code: "content_unreadable", Reason: "The stored content cannot be read."}
	}
	if r := m.Content.Reaction; r != nil {
		if m.QuotedID == "" {
			return m, file, &gateway.Answer{Outcome: gateway.Permanent, Code: "unknown_target", Reason: "The gateway does not know the message that this one reacts to."}
		}
		r.To, r.FromMe, m.QuotedID = m.QuotedID, h.QuotesUs, ""
	}
	if f := m.Content.Media; f != nil {
		got, refusal := s.load(ctx, h, f)
		return m, got, refusal
	}
	return m, file, nil
}
