package evolution

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/msgorch/msgorch/internal/gateway"
)

// maxAnswerBytes bounds how much of an answer is read. A real one has two or
// three kilobytes.
const maxAnswerBytes = 1 << 20

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
	var c http.Client
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Sender{client: &c}
}

// Send implements gateway.Sender.
func (s *Sender) Send(ctx context.Context, to gateway.Account, m gateway.Outgoing) gateway.Answer {
	v := privacyOf(to, m)
	if m.Type != gateway.TypeText {
		return v.answer(verdict{gateway.Permanent, "content_unsupported"}, 0, "")
	}
	number, ok := recipient(m.To)
	if !ok {
		return v.answer(verdict{gateway.Permanent, "invalid_recipient"}, 0, "")
	}
	var wrote atomic.Bool // whether a byte of the request may have left; the transport sets it
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	request, failure := newRequest(ctx, to, number, m)
	if failure != nil {
		return v.answer(*failure, 0, "")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return v.answer(lost(err, wrote.Load()), 0, causeOf(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return v.answer(lost(err, true), response.StatusCode, causeOf(err))
	}
	r := readReply(response.StatusCode, body)
	if r.messageID != "" {
		return gateway.Answer{Outcome: gateway.Accepted, MessageID: r.messageID, HTTPStatus: r.status}
	}
	answer := v.answer(r.verdict(m.To), r.status, r.words)
	answer.RetryAfter = r.retryAfter(response.Header)
	return answer
}

// newRequest builds the request, or says why the account makes that impossible.
func newRequest(ctx context.Context, to gateway.Account, number string, m gateway.Outgoing) (*http.Request, *verdict) {
	// A control character would make net/http refuse the header on every
	// attempt, as if the gateway could not be reached.
	if strings.ContainsFunc(to.Credential.Reveal(), unicode.IsControl) {
		return nil, &verdict{gateway.Pause, "bad_credentials"}
	}
	request, err := post(ctx, to, "/message/sendText/", newSendText(number, m))
	if err != nil {
		return nil, &verdict{gateway.Pause, "invalid_base_url"}
	}
	return request, nil
}

// errBadURL means that an account's address is not one of HTTP.
var errBadURL = errors.New("the base URL is not an http or https URL")

// post builds a call of the gateway's API for an account.
func post(ctx context.Context, to gateway.Account, path string, body any) (*http.Request, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.BaseURL+path+url.PathEscape(to.Instance), bytes.NewReader(encoded))
	if err != nil || request.URL.Host == "" || !strings.HasPrefix(request.URL.Scheme, "http") {
		return nil, errBadURL
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
		return user(jid), isDigits(user(jid))
	}
	return jid, isLID(jid) || strings.HasSuffix(jid, serverGroup)
}

// lost classifies a request that got no answer. Once the headers have been
// written nobody can tell what the gateway did with it.
func lost(err error, wrote bool) verdict {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	switch {
	case !wrote:
		return verdict{gateway.Retry, "connect_failed"}
	case ok && timeout.Timeout():
		return verdict{gateway.InDoubt, "timeout"}
	}
	return verdict{gateway.InDoubt, "connection_lost"}
}

// causeOf leaves out the URL that net/http puts into its errors.
func causeOf(err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err.Error()
	}
	return err.Error()
}
