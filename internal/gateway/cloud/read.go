package cloud

import (
	"context"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// mark is the body that says that a message, and all before it, have been read.
type mark struct {
	Product   string     `json:"messaging_product"`
	Status    string     `json:"status"`
	MessageID string     `json:"message_id"`
	Typing    *indicator `json:"typing_indicator,omitempty"`
}

type indicator struct {
	Type string `json:"type"`
}

// MarkRead implements gateway.Attendant. The Cloud API knows the message by its id.
func (s *Sender) MarkRead(ctx context.Context, at gateway.Account, _, messageID string) error {
	return s.mark(ctx, at, mark{MessageID: messageID})
}

// ShowTyping implements gateway.Attendant. Graph shows the sign to whoever wrote
// t.LastHeard and marks that as read; for 25 seconds, or until an answer is sent.
// It has one sign for all kinds of answers, and no way to end it.
func (s *Sender) ShowTyping(ctx context.Context, at gateway.Account, t gateway.Typing) (read bool, err error) {
	if t.LastHeard == "" || t.State == gateway.TypingPaused {
		return false, nil
	}
	err = s.mark(ctx, at, mark{MessageID: t.LastHeard, Typing: &indicator{"text"}})
	return err == nil, err
}

func (s *Sender) mark(ctx context.Context, at gateway.Account, m mark) error {
	if m.MessageID == "" {
		return fault.New(fault.Invalid, "invalid_message_id", "The message has no id that the Cloud API could know it by.")
	}
	m.Product, m.Status = product, "read"
	reply, refused := s.post(ctx, at, "messages", m)
	if refused == nil && reply.Status/100 != 2 {
		refused = judge(reply)
	}
	if refused != nil {
		return refused.fault(wire.PrivacyOf(at.Credential))
	}
	return nil
}
