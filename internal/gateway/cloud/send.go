package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Sender sends through the Cloud API, fetches the files that people send, and
// finds out whether a number can send. It may be used concurrently.
type Sender struct {
	client *http.Client
}

var _ interface {
	gateway.Sender
	gateway.Prober
	gateway.Attendant
} = (*Sender)(nil)

// NewSender returns a Sender that uses a copy of client; nil means the defaults
// of net/http. Redirects are not followed: one of them would send a message to
// an address nobody configured, or turn it into a GET.
func NewSender(client *http.Client) *Sender {
	return &Sender{client: wire.WithoutRedirects(client)}
}

// Send implements gateway.Sender. A file that comes along as base64 is uploaded
// first; when that fails, nothing has been sent. The Cloud API does not know a
// message again that it has had before, but it repeats our id in its statuses.
func (s *Sender) Send(ctx context.Context, to gateway.Account, m gateway.Outgoing) gateway.Answer {
	p := wire.PrivacyOf(to.Credential, privateTexts(m)...)
	body, refused := compose(m)
	if refused != nil {
		return refused.answer(p)
	}
	if f := body.file(); f != nil && f.bytes != nil {
		id, refused := s.upload(ctx, to, *f)
		if refused != nil {
			return refused.answer(p)
		}
		f.ID = id
	}
	reply, refused := s.post(ctx, to, "messages", body)
	if refused != nil {
		return refused.answer(p)
	}
	if id := messageIDIn(reply); id != "" {
		return gateway.Answer{Outcome: gateway.Accepted, MessageID: id, HTTPStatus: reply.Status}
	}
	return judge(reply).answer(p)
}

// post calls an edge of one of our numbers with a JSON body.
func (s *Sender) post(ctx context.Context, to gateway.Account, edge string, body any) (*wire.Reply, *refusal) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, refuse(gateway.Permanent, "invalid_content")
	}
	return s.call(ctx, to, http.MethodPost, edgeOf(to, edge), "application/json", bytes.NewReader(encoded))
}

// call sends a request with the account's credential. A refusal means that there
// is no answer; what an answer says is for others to judge.
func (s *Sender) call(ctx context.Context, at gateway.Account, method, address, contentType string, body io.Reader) (*wire.Reply, *refusal) {
	request, refused := newRequest(ctx, at, method, address, body)
	if refused != nil {
		return nil, refused
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	reply, lost := wire.Exchange(s.client, request)
	if lost != nil {
		r := refuse(lost.Outcome, lost.Code)
		r.status, r.said = lost.Status, lost.Cause
		if lost.Outcome == gateway.Retry {
			r.scope = gateway.ScopeInstance
		}
		return nil, r
	}
	return reply, nil
}

// newRequest builds a request, or says why the account makes that impossible.
func newRequest(ctx context.Context, at gateway.Account, method, address string, body io.Reader) (*http.Request, *refusal) {
	if !isGraphID(at.Instance) {
		return nil, refuse(gateway.Pause, "instance_not_found")
	}
	if at.Credential == "" || !wire.IsHeaderSafe(at.Credential) {
		return nil, refuse(gateway.Pause, "bad_credentials")
	}
	request, err := wire.NewRequest(ctx, method, address, body)
	if err != nil {
		return nil, refuse(gateway.Pause, "invalid_base_url")
	}
	request.Header.Set("Authorization", "Bearer "+at.Credential.Reveal())
	return request, nil
}

// edgeOf returns the address of what belongs to one of our numbers.
func edgeOf(at gateway.Account, edge string) string {
	return at.BaseURL + "/" + url.PathEscape(at.Instance) + "/" + edge
}
