package evolution

import (
	"unicode"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

const (
	maxNameBytes = 128 // of an event or instance
	redacted     = `"[redacted]"`
)

// Open implements gateway.Decoder. The body must be one JSON object in which
// exactly "event" and "instance", in this spelling, name the event and the
// instance; only the gateway's global "error" event comes without an instance.
func (Decoder) Open(body []byte) (gateway.Envelope, error) {
	top, err := wire.Open(body)
	if err != nil {
		return gateway.Envelope{}, err
	}
	name, ok := wire.Text(top.Get("event"))
	if !ok || !isName(name) {
		return gateway.Envelope{}, invalid("missing_event", "The body has no usable event.")
	}
	event := canonicalEvent(name)
	instance, err := instanceOf(top, event)
	if err != nil {
		return gateway.Envelope{}, err
	}
	return gateway.Envelope{Event: event, Instance: instance, Body: redact(body)}, nil
}

func instanceOf(top wire.Object, event string) (string, error) {
	raw := top.Get("instance")
	if wire.IsNull(raw) {
		if event == "error" {
			return "", nil
		}
		return "", invalid("missing_instance", "The body names no instance.")
	}
	name, ok := wire.Text(raw)
	if !ok || !isName(name) {
		return "", invalid("invalid_instance", "The instance is not a name of 1 to 128 visible bytes.")
	}
	return name, nil
}

// isName reports whether s can name something: short, and without characters
// that cannot be seen. Those would make two names look alike, or break a log
// line or a header.
func isName(s string) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return false
		}
	}
	return true
}

// redact copies the body with the gateway's own secrets overwritten and every
// other byte as it was.
func redact(body []byte) []byte {
	out := make([]byte, 0, len(body)+len(redacted))
	copied, depth := 0, 0
	for s := (wire.Scanner{Src: body}); s.Pos < len(body); {
		switch s.Peek() {
		case '{', '[':
			depth++
			s.Pos++
		case '}', ']':
			depth--
			s.Pos++
		case '"':
			token := s.Str()
			if s.Space() != ':' || !isSecret(wire.Unquote(token), depth) {
				continue
			}
			s.Pos++ // the colon
			s.Space()
			start := s.Pos
			if wire.IsNull(s.Value()) {
				continue
			}
			out = append(append(out, body[copied:start]...), redacted...)
			copied = s.Pos
		default:
			s.Pos++
		}
	}
	return append(out, body[copied:]...)
}

// isSecret reports whether a member of that name, in an object at that depth,
// holds a credential of the gateway or key material of the account. The body
// itself has depth 1. Media keys are no secrets here: without them the media of
// a message cannot be fetched.
func isSecret(name []byte, depth int) bool {
	var lower [len("appstatesynckeyshare")]byte // the longest of them; every key comes through here
	if len(name) > len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case "apikey", "api_key", "api-key", "authorization",
		"access_token", "accesstoken", "jwt_key", "appstatesynckeyshare":
		return true
	case "token", "hash", "password", "secret", "jwt":
		// Where the gateway puts its own. Deeper, they belong to messages: an
		// order has a token that is needed to look it up.
		return depth <= 3
	}
	return false
}

// invalid says that a body cannot be used. The detail never quotes the body.
func invalid(code, detail string) *fault.Error {
	return fault.New(fault.Invalid, code, detail)
}
