package evolution

import (
	"context"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// markRead is the body of POST /chat/markMessageAsRead.
type markRead struct {
	Messages []readKey `json:"readMessages"`
}

type readKey struct {
	RemoteJID string `json:"remoteJid"`
	FromMe    bool   `json:"fromMe"`
	ID        string `json:"id"`
}

// MarkRead implements gateway.Attendant. The gateway says yes to a LID and does
// nothing, so a LID is refused here.
func (s *Sender) MarkRead(ctx context.Context, at gateway.Account, chat, messageID string) error {
	jid, ok := canonicalJID(chat)
	switch {
	case !ok || !wire.IsMessageID(messageID):
		return fault.New(fault.Invalid, "invalid_recipient", "The chat is no JID, or the message's id is none.")
	case isLID(jid):
		return fault.New(fault.Invalid, "number_unknown", "Evolution API marks nothing as read for somebody whose phone number is not known.")
	}
	return s.ask(ctx, at, "/chat/markMessageAsRead/", jid, markRead{[]readKey{{jid, false, messageID}}})
}

// presence is the body of POST /chat/sendPresence.
type presence struct {
	Number   string `json:"number"`
	Presence string `json:"presence"`
	Delay    int64  `json:"delay"` // milliseconds
}

// ShowTyping implements gateway.Attendant. The gateway answers once t.For is over,
// and ends the sign then.
func (s *Sender) ShowTyping(ctx context.Context, at gateway.Account, t gateway.Typing) (read bool, err error) {
	number, ok := recipient(t.Chat)
	if !ok {
		return false, fault.New(fault.Invalid, "invalid_recipient", "The chat is not a phone number, a LID or a group.")
	}
	p := presence{Number: number, Presence: t.State, Delay: t.For.Milliseconds()}
	if t.State == gateway.TypingPaused {
		p.Delay = 0
	}
	return false, s.ask(ctx, at, "/chat/sendPresence/", t.Chat, p)
}

// ask makes a call about a chat that answers with nothing but whether it was done.
func (s *Sender) ask(ctx context.Context, at gateway.Account, path, chat string, body any) error {
	p := wire.PrivacyOf(at.Credential)
	came, failed := s.exchange(ctx, at, path, body)
	if failed != nil {
		return failed.fault(p)
	}
	r := readReply(came.Status, came.Body)
	if r.status/100 == 2 && r.graph == nil && !wire.IsTrue(r.body.Get("error")) {
		return nil
	}
	v := r.verdict(chat)
	f := failure{v, r.status, r.words}.fault(p).RetryAfter(r.retryAfter(came.Header))
	if v.outcome == gateway.Permanent {
		f.Kind = fault.Invalid
	}
	return f
}
