// Package graph knows the errors of Meta's Graph API, which the WhatsApp Cloud
// API is a part of. They reach us directly, or handed through by a gateway.
package graph

import (
	"strconv"
	"strings"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Error is what Graph says when it refuses a request. Whatever the code: a
// message that Graph refused was not sent.
type Error struct {
	Code      int64
	Subcode   int64  // 0 if none
	Transient bool   // Graph itself says that trying again helps
	Words     string // what it says to a person; may quote the request
}

// Find recognises a Graph error in an answer, bare or inside "error". It returns
// nil for anything else.
func Find(body wire.Object) *Error {
	for _, e := range []wire.Object{body, body.Object("error")} {
		if e.Text("type") == "" && e.Text("fbtrace_id") == "" {
			continue // a proxy's {"code": 502} says nothing about Graph
		}
		if code, ok := wire.Number(e.Get("code")); ok {
			subcode, _ := wire.Number(e.Get("error_subcode"))
			return &Error{Code: code, Subcode: subcode, Transient: wire.IsTrue(e.Get("is_transient")), Words: words(e)}
		}
	}
	return nil
}

// words joins the message and its details, which often repeat it.
func words(e wire.Object) string {
	message, details := e.Text("message"), e.Object("error_data").Text("details")
	if strings.Contains(message, details) {
		return message
	}
	return strings.TrimSpace(message + " " + details)
}

// Name is the code as answers carry it: "graph_" and the number.
func (e Error) Name() string { return "graph_" + strconv.FormatInt(e.Code, 10) }

// Outcome is what the error means for the message.
func (e Error) Outcome() gateway.Outcome { return e.meaning().outcome }

// Scope is how many messages would get the same error now, and whether it asks
// to send more slowly.
func (e Error) Scope() (scope gateway.Scope, slow bool) {
	m := e.meaning()
	return m.scope, m.slow
}

// Wait is how long Meta's documentation asks to wait, or 0.
func (e Error) Wait() time.Duration { return e.meaning().wait }

// unknownObject is the subcode of an error 100 that says: what the URL names does
// not exist, or the credential may not see it. In a send that is the
// phone_number_id, so it is not the message that is wrong.
const unknownObject = 33

// meaning is what an error says about a message and those after it.
type meaning struct {
	outcome gateway.Outcome
	scope   gateway.Scope
	slow    bool
	wait    time.Duration
}

func (e Error) meaning() meaning {
	m := meaningOf(e.Code, e.Subcode)
	if e.Transient {
		m.outcome = gateway.Retry
	}
	return m
}

// meaningOf classifies by the code, as Meta asks, and not by the HTTP status.
// Codes that nobody has described are tried again. See Meta's page "Error codes"
// of the WhatsApp Business Platform.
func meaningOf(code, subcode int64) meaning {
	switch code {
	case 4, 80007, 130429: // the app, the business account, the number sends too fast
		return meaning{outcome: gateway.Retry, scope: gateway.ScopeInstance, slow: true}
	case 131056: // one pair of numbers may exchange about one message in six seconds
		return meaning{outcome: gateway.Retry, scope: gateway.ScopeChat, wait: 6 * time.Second}
	case 131049: // WhatsApp protects this person from too many messages
		return meaning{outcome: gateway.Retry, wait: 24 * time.Hour}
	case 190, 0, 3, 10, 368, 131031, 131042, 131045, 131048, 133010, 130497,
		2500: // the base URL has a wrong path or version
		return meaning{outcome: gateway.Pause}
	case 100:
		if subcode == unknownObject {
			return meaning{outcome: gateway.Pause}
		}
		return meaning{outcome: gateway.Permanent}
	case 131047, 131026, 131021, 131030, 131008, 131009, 33, 131051, 131052,
		132000, 132001, 132005, 132007, 132012, 132015, 132016, 131053, 130472, 131050:
		return meaning{outcome: gateway.Permanent}
	}
	if 200 <= code && code <= 299 { // permissions
		return meaning{outcome: gateway.Pause}
	}
	return meaning{outcome: gateway.Retry}
}
