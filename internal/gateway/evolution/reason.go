package evolution

import (
	"encoding/json"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
)

const maxReasonRunes = 300

// privacy is what no reason may contain.
type privacy struct {
	words []string
}

// privacyOf collects the credential and the message's text. The recipient is not
// among them, because the gateway may spell a number otherwise than we do: any
// long number is masked.
func privacyOf(to gateway.Account, m gateway.Outgoing) privacy {
	var p privacy
	for _, private := range []string{to.Credential.Reveal(), m.Text} {
		if private == "" {
			continue
		}
		// The gateway may quote it as it is or as JSON, in full or shortened.
		asJSON, _ := json.Marshal(private)
		p.words = append(p.words, beginning(oneLine(private)), beginning(oneLine(string(asJSON[1:len(asJSON)-1]))))
	}
	return p
}

// beginning returns enough of s to recognise it.
func beginning(s string) string { return firstRunes(s, 16) }

// answer builds the answer to a message that was not accepted. Its reason says
// what the code means and then quotes what was said, unless the quotation would
// tell something private.
func (p privacy) answer(v verdict, status int, said string) gateway.Answer {
	reason := explain(v.code)
	if said = p.quotable(said); said != "" {
		reason += " (" + said + ")"
	}
	a := gateway.Answer{Outcome: v.outcome, HTTPStatus: status, Code: v.code, Reason: firstRunes(reason, maxReasonRunes)}
	if v.outcome == gateway.Retry {
		a.Scope, a.Slow = scopeOf(v.code)
	}
	return a
}

// scopeOf returns what a code is about, and whether it asks to send more slowly.
func scopeOf(code string) (scope gateway.Scope, slow bool) {
	switch code {
	case "rate_limited", "graph_4", "graph_80007", "graph_130429":
		return gateway.ScopeInstance, true
	case "connection_closed", "instance_not_loaded", "connect_failed":
		return gateway.ScopeInstance, false
	case "graph_131056": // too much between this pair of numbers
		return gateway.ScopeChat, false
	}
	return gateway.ScopeMessage, false
}

// quotable returns the words with long numbers masked, or nothing at all when
// something private is in them: cut out, it would leave a riddle.
func (p privacy) quotable(said string) string {
	said = oneLine(said)
	for _, private := range p.words {
		if private != "" && strings.Contains(said, private) {
			return ""
		}
	}
	return maskNumbers(said)
}

// maskNumbers replaces every run of digits that is long enough for a phone
// number.
func maskNumbers(s string) string {
	const shortest = 8
	var out strings.Builder
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits >= shortest {
			out.WriteString("[number]")
		} else {
			out.WriteString(s[:digits])
		}
		s = s[digits:]
		next := strings.IndexAny(s, "0123456789")
		if next < 0 {
			next = len(s)
		}
		out.WriteString(s[:next])
		s = s[next:]
	}
	return out.String()
}

// oneLine makes text valid UTF-8 without line breaks, NUL or runs of space.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", " ")
	return strings.Join(strings.Fields(s), " ")
}

// firstRunes cuts s after n runes.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// explain says a code in a sentence.
func explain(code string) string {
	switch code {
	case "content_unsupported":
		return "This kind of content cannot be sent through Evolution API yet."
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
	case "no_message_id":
		return "The gateway answered without naming the message."
	}
	if strings.HasPrefix(code, "graph_") {
		return "The Cloud API refused the message."
	}
	return "The gateway failed."
}
