package evolution

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/graph"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// verdict is what an answer means for the message.
type verdict struct {
	outcome gateway.Outcome
	code    string
}

// reply is the gateway's answer, read without believing its status.
type reply struct {
	status    int
	messageID string       // set exactly when the message was accepted
	words     string       // everything it says in words, on one line or more
	body      wire.Object  // nil when the answer is not the gateway's JSON
	missing   bool         // it says {"exists": false} of the recipient
	graph     *graph.Error // set when the Cloud channel hands one through
}

// readReply takes an answer apart. Only a 2xx with the id of the new message
// means success: with the Cloud channel errors come as 201 too.
func readReply(status int, body []byte) reply {
	r := reply{status: status}
	if !json.Valid(body) {
		return r
	}
	if r.body = wire.ObjectOf(body); r.body == nil {
		return r
	}
	if status/100 == 2 {
		if r.messageID = keyID(r.body, "key"); r.messageID != "" {
			return r
		}
	}
	r.graph = graph.Find(r.body)
	response := wire.ObjectOf(r.body.Get("response"))
	for _, said := range []json.RawMessage{response.Get("message"), r.body.Get("message"), r.body.Get("error")} {
		r.listen(said, 0)
	}
	return r
}

// listen collects the words of an error's message, which is a string, or
// strings, objects and further arrays in an array.
func (r *reply) listen(said json.RawMessage, depth int) {
	const deepest = 4 // real ones have two levels
	if text, ok := wire.Text(said); ok {
		r.words = strings.TrimSpace(r.words + " " + text)
		return
	}
	if verdict := wire.ObjectOf(said); string(verdict.Get("exists")) == "false" {
		r.missing = true
		return
	}
	if depth == deepest {
		return
	}
	for element := range wire.Elements(said) {
		r.listen(element, depth+1)
	}
}

// verdict classifies an answer that did not accept the message to that JID.
func (r reply) verdict(to string) verdict {
	switch {
	case r.status/100 == 3:
		// The base URL leads somewhere else; Evolution never redirects.
		return verdict{gateway.Pause, "gateway_redirect"}
	case r.graph != nil:
		return verdict{r.graph.Outcome(), r.graph.Name()}
	case r.status/100 == 2 && wire.IsTrue(r.body.Get("error")):
		return verdict{gateway.Retry, "gateway_error"}
	case r.status/100 == 2:
		return verdict{gateway.InDoubt, "no_message_id"}
	case r.body.Text("code") == "LICENSE_REQUIRED":
		return verdict{gateway.Pause, "license_required"}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return verdict{gateway.Pause, "bad_credentials"}
	case r.status == http.StatusNotFound:
		return verdict{gateway.Pause, "instance_not_found"}
	case r.status == http.StatusTooManyRequests:
		return verdict{gateway.Retry, "rate_limited"}
	}
	if v, known := r.spoken(); known {
		return v
	}
	if r.missing {
		// Of a LID, versions up to 2.3.7 say this of people who do exist.
		if isLID(lowerASCII(to)) {
			return verdict{gateway.Retry, "number_not_on_whatsapp"}
		}
		return verdict{gateway.Permanent, "number_not_on_whatsapp"}
	}
	return r.unspoken()
}

// spoken classifies by what the gateway says, which counts for more than the
// status it says it with.
func (r reply) spoken() (verdict, bool) {
	says := func(phrases ...string) bool {
		for _, phrase := range phrases {
			if strings.Contains(r.words, phrase) {
				return true
			}
		}
		return false
	}
	switch {
	// WhatsApp or Graph may have the message; what failed came after.
	case says("Timed Out"):
		return verdict{gateway.InDoubt, "gateway_timeout"}, true
	case says("Prisma", "DriverAdapter", "Unique constraint"):
		return verdict{gateway.InDoubt, "gateway_store_failed"}, true
	case says("reading 'message'"):
		return verdict{gateway.InDoubt, "graph_unreachable"}, true
	// The session was not there to send anything.
	case says("Connection Closed", "Connection Terminated"):
		return verdict{gateway.Retry, "connection_closed"}, true
	case says("rate-overlimit"):
		return verdict{gateway.Retry, "rate_limited"}, true
	case says("reading 'textMessage'", "reading 'onWhatsApp'"):
		return verdict{gateway.Retry, "instance_not_loaded"}, true
	}
	return verdict{}, false
}

// unspoken classifies an answer whose words mean nothing to us.
func (r reply) unspoken() verdict {
	switch {
	case r.status == http.StatusInternalServerError, r.status == http.StatusServiceUnavailable:
		// Evolution reports failures of its own before it sends.
		return verdict{gateway.Retry, "gateway_error"}
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		// A proxy speaks, and cannot know how far the gateway got.
		return verdict{gateway.InDoubt, "gateway_error"}
	case r.body == nil:
		// A refusal that is not in the gateway's words is not about the message.
		return verdict{gateway.Retry, "gateway_error"}
	case strings.Contains(r.words, "Error:"):
		// Evolution answers 400 to any exception, also to one after sending.
		return verdict{gateway.InDoubt, "gateway_error"}
	}
	return verdict{gateway.Permanent, "invalid_request"}
}

// retryAfter returns the wait that was asked for: by Graph, or by the header of
// an answer that has one.
func (r reply) retryAfter(header http.Header) time.Duration {
	if r.graph != nil {
		return r.graph.Wait()
	}
	return wire.RetryAfter(r.status, header)
}
