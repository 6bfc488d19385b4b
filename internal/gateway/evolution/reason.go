package evolution

import (
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// answer builds the answer to a message that was not accepted. Its reason says
// what the code means and then quotes what was said, unless the quotation would
// tell something private.
func answer(p wire.Privacy, v verdict, status int, said string) gateway.Answer {
	a := gateway.Answer{Outcome: v.outcome, HTTPStatus: status, Code: v.code, Reason: p.Reason(explain(v.code), said)}
	if v.outcome == gateway.Retry {
		a.Scope, a.Slow = scopeOf(v.code)
	}
	return a
}

// scopeOf returns what a code of the gateway's own is about, and whether it asks
// to send more slowly.
func scopeOf(code string) (scope gateway.Scope, slow bool) {
	switch code {
	case "rate_limited":
		return gateway.ScopeInstance, true
	case "connection_closed", "instance_not_loaded", "connect_failed":
		return gateway.ScopeInstance, false
	}
	return gateway.ScopeMessage, false
}

// explain says a code in a sentence.
func explain(code string) string {
	switch code {
	case "content_unsupported":
		return "This kind of content cannot be sent through Evolution API."
	case "invalid_content":
		return "The message's content is incomplete or contradicts itself."
	case "invalid_recipient":
		return "The recipient is not a phone number, group or LID."
	case "invalid_base_url":
		return "The instance's base URL is not a URL."
	case "invalid_request":
		return "The gateway refused the message as invalid."
	case "bad_credentials":
		return "The gateway does not accept the instance's credential."
	case "instance_not_found":
		return "The gateway does not know the instance."
	case "license_required":
		return "The gateway has not been activated."
	case "gateway_redirect":
		return "The gateway's address redirects to another one; the base URL is wrong."
	case "number_not_on_whatsapp":
		return "The gateway says that the recipient is not on WhatsApp."
	case "rate_limited":
		return "The gateway asks to send more slowly."
	case "connection_closed":
		return "The instance has lost its connection to WhatsApp."
	case "instance_not_loaded":
		return "The gateway has not loaded or not connected the instance."
	case "connect_failed":
		return "The gateway could not be reached."
	case "connection_lost":
		return "The connection broke before the gateway answered."
	case "timeout":
		return "The gateway did not answer in time."
	case "gateway_timeout":
		return "WhatsApp did not answer the gateway in time."
	case "gateway_store_failed":
		return "The gateway failed to store the message, perhaps after sending it."
	case "graph_unreachable":
		return "The gateway got no usable answer from the Cloud API."
	case "media_gone":
		return "The gateway has no file of this message."
	case "no_media":
		return "The gateway answered without a file."
	case "no_message_id":
		return "The gateway answered without naming the message."
	}
	if strings.HasPrefix(code, "graph_") {
		return "The Cloud API refused the message."
	}
	return "The gateway failed."
}
