package evolution

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Sender sends through Evolution API, finds what was sent, and fetches the files
// that people send. It may be used concurrently.
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
	p := wire.PrivacyOf(to.Credential, privateTexts(m)...)
	c, refused := compose(m)
	if refused != nil {
		return refused.answer(p)
	}
	came, failed := s.exchange(ctx, to, c.path, c.body)
	if failed != nil {
		return failed.answer(p)
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

// failure is why a call has got no answer.
type failure struct {
	verdict
	status int    // of the answer, if at least that came
	said   string // what it failed of
}

func (f failure) answer(p wire.Privacy) gateway.Answer { return answer(p, f.verdict, f.status, f.said) }

// exchange makes a call, or says why it has got no answer: because the account
// makes it impossible, or because of what happened on the way.
func (s *Sender) exchange(ctx context.Context, to gateway.Account, path string, body any) (*wire.Reply, *failure) {
	request, failed := newRequest(ctx, to, path, body)
	if failed != nil {
		return nil, failed
	}
	came, lost := wire.Exchange(s.client, request)
	if lost != nil {
		return nil, &failure{verdict{lost.Outcome, lost.Code}, lost.Status, lost.Cause}
	}
	return came, nil
}

// newRequest builds a call, or says why the account makes that impossible.
func newRequest(ctx context.Context, to gateway.Account, path string, body any) (*http.Request, *failure) {
	if !wire.IsHeaderSafe(to.Credential) {
		return nil, &failure{verdict: verdict{gateway.Pause, "bad_credentials"}}
	}
	request, err := post(ctx, to, path, body)
	if err != nil {
		return nil, &failure{verdict: verdict{gateway.Pause, "invalid_base_url"}}
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
	return jid, isLID(jid) || isGroup(jid)
}

// privateTexts returns what people wrote in a message, which no reason may repeat.
func privateTexts(m gateway.Outgoing) []string {
	texts := []string{m.Text}
	c := m.Content
	if c == nil {
		return texts
	}
	if f := c.Media; f != nil {
		const enough = 64 // bytes by which a file is recognised
		texts = append(texts, f.URL, f.Base64[:min(len(f.Base64), enough)], f.Caption, f.FileName)
	}
	if l := c.Location; l != nil {
		texts = append(texts, l.Name, l.Address)
	}
	for _, card := range c.Contacts {
		texts = append(append(append(texts, card.Name), card.Phones...), card.Emails...)
	}
	if r := c.Reaction; r != nil {
		texts = append(texts, r.Emoji)
	}
	if p := c.Poll; p != nil {
		texts = append(append(texts, p.Name), p.Options...)
	}
	if i := c.Interactive; i != nil {
		texts = append(texts, i.Body, i.Footer, i.Header, i.Button)
		for _, b := range i.Buttons {
			texts = append(texts, b.Title)
		}
		for _, s := range i.Sections {
			texts = append(texts, s.Title)
			for _, r := range s.Rows {
				texts = append(texts, r.Title, r.Description)
			}
		}
	}
	return texts
}
