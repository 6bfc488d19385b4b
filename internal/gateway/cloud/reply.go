package cloud

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/graph"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// refusal is why a request did not do what it should: because of what it asks
// for, because nobody answered, or because of the answer.
type refusal struct {
	outcome gateway.Outcome
	code    string
	why     string // a sentence; empty if the code says enough
	said    string // what Graph says to a person; may quote the request
	status  int    // of the answer; 0 if none came
	scope   gateway.Scope
	slow    bool
	wait    time.Duration
}

func refuse(outcome gateway.Outcome, code string) *refusal {
	return &refusal{outcome: outcome, code: code}
}

// answer says the same in the gateway's words, keeping private what must be.
func (r refusal) answer(p wire.Privacy) gateway.Answer {
	return gateway.Answer{
		Outcome: r.outcome, HTTPStatus: r.status, Code: r.code, Reason: r.reason(p),
		RetryAfter: r.wait, Scope: r.scope, Slow: r.slow,
	}
}

// fault says the same of a request that is not a send.
func (r refusal) fault(p wire.Privacy) *fault.Error {
	kind := fault.Unavailable
	if r.outcome == gateway.Permanent {
		kind = fault.Invalid
	}
	return fault.New(kind, r.code, r.reason(p)).RetryAfter(r.wait)
}

func (r refusal) reason(p wire.Privacy) string {
	return p.Reason(cmp.Or(r.why, explain(r.code)), r.said)
}

// messageIDIn returns the id that an answer gives the new message. Only a 2xx
// with an id means that the message was taken.
func messageIDIn(reply *wire.Reply) string {
	body, err := wire.Open(reply.Body)
	if err != nil || reply.Status/100 != 2 {
		return ""
	}
	return validID(wire.ObjectOf(wire.First(body.Get("messages"))).Text("id"))
}

// judge classifies an answer that does not say what a good one would. Graph's
// code counts for more than the HTTP status that it comes with.
func judge(reply *wire.Reply) *refusal {
	r := refusal{status: reply.Status, wait: wire.RetryAfter(reply.Status, reply.Header)}
	body, err := wire.Open(reply.Body)
	if e := graph.Find(body); err == nil && e != nil && reply.Status/100 != 3 {
		r.outcome, r.code, r.said = e.Outcome(), e.Name(), e.Words
		r.wait = cmp.Or(e.Wait(), r.wait)
		if r.outcome == gateway.Retry {
			r.scope, r.slow = e.Scope()
		}
		return &r
	}
	r.outcome, r.code = strange(reply.Status)
	if r.code == "rate_limited" {
		r.scope, r.slow = gateway.ScopeInstance, true
	}
	return &r
}

// strange classifies an answer that is not Graph's: something on the way there
// has answered instead.
func strange(status int) (gateway.Outcome, string) {
	switch {
	case status/100 == 3: // Graph never redirects
		return gateway.Pause, "gateway_redirect"
	case status/100 == 2:
		return gateway.InDoubt, "no_message_id"
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return gateway.Pause, "bad_credentials"
	case status == http.StatusNotFound:
		return gateway.Pause, "instance_not_found"
	case status == http.StatusTooManyRequests:
		return gateway.Retry, "rate_limited"
	case status >= 500, status == http.StatusRequestTimeout:
		// A proxy cannot know how far Graph got.
		return gateway.InDoubt, "gateway_error"
	}
	return gateway.Retry, "gateway_error"
}

// explain says a code in a sentence.
func explain(code string) string {
	switch code {
	case "content_unsupported":
		return "This kind of content cannot be sent through the Cloud API."
	case "invalid_content":
		return "The message's content is incomplete or contradicts itself."
	case "invalid_recipient":
		return "The recipient is not a phone number, a user id or a group of the Cloud API."
	case "invalid_base_url":
		return "The instance's base URL is not a URL."
	case "bad_credentials":
		return "The Cloud API does not accept the instance's credential."
	case "instance_not_found":
		return "The Cloud API does not know the instance: its phone_number_id or base URL is wrong."
	case "gateway_redirect":
		return "The base URL redirects to another address; it is not the Cloud API's."
	case "rate_limited":
		return "The Cloud API asks to send more slowly."
	case "connect_failed":
		return "The Cloud API could not be reached."
	case "connection_lost":
		return "The connection broke before the Cloud API answered."
	case "timeout":
		return "The Cloud API did not answer in time."
	case "no_message_id":
		return "The Cloud API answered without naming the message."
	case "no_media_id":
		return "The Cloud API took the file without naming it."
	}
	if strings.HasPrefix(code, "graph_") {
		return "The Cloud API refused the request."
	}
	return "Something between here and the Cloud API failed."
}
