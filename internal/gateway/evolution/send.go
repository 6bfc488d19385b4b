package evolution

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Sender sends through Evolution API, and finds what was sent.
type Sender struct {
	client *http.Client
}

// NewSender returns a Sender that uses a copy of client; nil means the defaults
// of net/http. Redirects are not followed: one of them would send a message to
// an address nobody configured, or turn it into a GET.
//
// The gateway closes idle connections after five seconds. A transport whose
// IdleConnTimeout is shorter avoids sending on a connection that is just being
// closed, which would leave the message in doubt.
func NewSender(client *http.Client) *Sender {
	return &Sender{client: wire.WithoutRedirects(client)}
}

// Send implements gateway.Sender.
func (s *Sender) Send(ctx context.Context, to gateway.Account, m gateway.Outgoing) gateway.Answer {
	p := wire.PrivacyOf(to.Credential, m.Text)
	if m.Type != gateway.TypeText {
		return answer(p, verdict{gateway.Permanent, "content_unsupported"}, 0, "")
	}
	number, ok := recipient(m.To)
	if !ok {
		return answer(p, verdict{gateway.Permanent, "invalid_recipient"}, 0, "")
	}
	request, failure := newRequest(ctx, to, number, m)
	if failure != nil {
		return answer(p, *failure, 0, "")
	}
	came, lost := wire.Exchange(s.client, request)
	if lost != nil {
		return answer(p, verdict{lost.Outcome, lost.Code}, lost.Status, lost.Cause)
	}
	r := readReply(came.Status, came.Body)
	if r.messageID != "" {
		return gateway.Answer{Outcome: gateway.Accepted, MessageID: r.messageID, HTTPStatus: r.status}
	}
	a := answer(p, r.verdict(m.To), r.status, r.words)
	a.RetryAfter = r.retryAfter(came.Header)
	if r.graph != nil && a.Outcome == gateway.Retry {
		a.Scope, a.Slow = r.graph.Scope()
	}
	return a
}

// newRequest builds the request, or says why the account makes that impossible.
func newRequest(ctx context.Context, to gateway.Account, number string, m gateway.Outgoing) (*http.Request, *verdict) {
	if !wire.IsHeaderSafe(to.Credential) {
		return nil, &verdict{gateway.Pause, "bad_credentials"}
	}
	request, err := post(ctx, to, "/message/sendText/", newSendText(number, m))
	if err != nil {
		return nil, &verdict{gateway.Pause, "invalid_base_url"}
	}
	return request, nil
}

// post builds a call of the gateway's API for an account.
func post(ctx context.Context, to gateway.Account, path string, body any) (*http.Request, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := wire.NewRequest(ctx, http.MethodPost, to.BaseURL+path+url.PathEscape(to.Instance), bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Apikey", to.Credential.Reveal())
	return request, nil
}

// sendText is the body of POST /message/sendText.
type sendText struct {
	Number string  `json:"number"`
	Text   string  `json:"text"`
	Quoted *quoted `json:"quoted,omitempty"`
}

type quoted struct {
	Key struct {
		ID string `json:"id"`
	} `json:"key"`
}

func newSendText(number string, m gateway.Outgoing) sendText {
	body := sendText{Number: number, Text: m.Text}
	if m.QuotedID != "" {
		body.Quoted = new(quoted)
		body.Quoted.Key.ID = m.QuotedID
	}
	return body
}

// recipient returns what the gateway wants as number: a phone's digits, or the
// JID of a group or LID.
func recipient(jid string) (string, bool) {
	jid, ok := canonicalJID(jid)
	switch {
	case !ok:
		return "", false
	case isPhone(jid):
		return user(jid), wire.IsDigits(user(jid))
	}
	return jid, isLID(jid) || strings.HasSuffix(jid, serverGroup)
}
