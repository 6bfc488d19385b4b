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

// MarkRead tells somebody that their message has been read. The chat is a JID, and
// where the phone number's is known it must be that one: the gateway says yes to
// a LID and does nothing. It fails with fault.Invalid when the gateway will never
// take it, and with fault.Unavailable when it may take it later.
func (s *Sender) MarkRead(ctx context.Context, at gateway.Account, chat, messageID string, fromMe bool) error {
	jid, ok := canonicalJID(chat)
	if !ok || !wire.IsMessageID(messageID) {
		return fault.New(fault.Invalid, "invalid_recipient", "The chat is no JID, or the message's id is none.")
	}
	p := wire.PrivacyOf(at.Credential)
	came, failed := s.exchange(ctx, at, "/chat/markMessageAsRead/", markRead{[]readKey{{jid, fromMe, messageID}}})
	if failed != nil {
		return failed.fault(p)
	}
	r := readReply(came.Status, came.Body)
	if r.status/100 == 2 && r.graph == nil && !wire.IsTrue(r.body.Get("error")) {
		return nil
	}
	v := r.verdict(jid)
	f := failure{v, r.status, r.words}.fault(p).RetryAfter(r.retryAfter(came.Header))
	if v.outcome == gateway.Permanent {
		f.Kind = fault.Invalid
	}
	return f
}
