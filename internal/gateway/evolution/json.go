package evolution

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// The gateway's JSON is read in two steps: json.Valid accepts a body once, and
// everything below moves over the accepted bytes without checking them again.
// encoding/json itself is not used to take objects apart because it matches
// keys in any case, so that "Instance" would override "instance", and because
// the same field is a number, a string or an object depending on the version.

// scanner is a position in valid JSON.
type scanner struct {
	src []byte
	pos int
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// space moves to the next byte that is not white space and returns it.
func (s *scanner) space() byte {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return s.src[s.pos]
		}
	}
	return 0
}

// value moves over one value and returns it, without the space around it.
func (s *scanner) value() json.RawMessage {
	switch s.space() {
	case '"':
		return s.str()
	case '{', '[':
		return s.composite()
	}
	return s.scalar()
}

// str moves over a string and returns it with its quotes.
func (s *scanner) str() json.RawMessage {
	start := s.pos
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return s.src[start:s.pos]
		}
	}
	return s.src[start:]
}

// composite moves over an object or array. It counts instead of recursing, so
// nesting costs no stack.
func (s *scanner) composite() json.RawMessage {
	start := s.pos
	for depth := 0; s.pos < len(s.src); {
		switch s.src[s.pos] {
		case '"':
			s.str()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.pos++
		if depth == 0 {
			break
		}
	}
	return s.src[start:s.pos]
}

// scalar moves over a number, true, false or null.
func (s *scanner) scalar() json.RawMessage {
	start := s.pos
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ',', ':', '}', ']', ' ', '\t', '\r', '\n':
			return s.src[start:s.pos]
		}
		s.pos++
	}
	return s.src[start:s.pos]
}

// elements yields the elements of an array; of anything else, nothing.
func elements(raw json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		s := scanner{src: raw}
		if s.space() != '[' {
			return
		}
		s.pos++
		for s.space() != ']' && s.pos < len(raw) {
			if !yield(s.value()) {
				return
			}
			if s.space() == ',' {
				s.pos++
			}
		}
	}
}

// object is the members of a JSON object in their order.
type object []member

type member struct {
	name  []byte
	value json.RawMessage
}

// objectOf takes an object apart. It returns nil for anything else.
func objectOf(raw json.RawMessage) object {
	s := scanner{src: raw}
	if s.space() != '{' {
		return nil
	}
	s.pos++
	members := make(object, 0, 8)
	for s.space() == '"' {
		name := unquote(s.str())
		s.space()
		s.pos++ // the colon
		members = append(members, member{name, s.value()})
		if s.space() == ',' {
			s.pos++
		}
	}
	return members
}

// get returns the last member of exactly that name, or nil. The last one wins
// as it does in encoding/json and in jsonb.
func (o object) get(name string) json.RawMessage {
	for _, m := range slices.Backward(o) {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// text returns a member that is a string, or "".
func (o object) text(name string) string {
	text, _ := textOf(o.get(name))
	return text
}

// textOf decodes a string. Invalid UTF-8 and lone surrogates become U+FFFD.
func textOf(raw json.RawMessage) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return string(unquote(raw)), true
}

// unquote decodes the inside of a string token, without copying if it can.
func unquote(token json.RawMessage) []byte {
	inside := token[1 : len(token)-1]
	if bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return inside
	}
	var decoded string
	if json.Unmarshal(token, &decoded) != nil {
		return nil
	}
	return []byte(decoded)
}

// isNull reports whether a value is null or was never there.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }

// isTrue reports whether a value is the JSON true.
func isTrue(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == 't' }

// sanitize makes text storable: no NUL, which PostgreSQL refuses, and at most
// limit runes. The text is valid UTF-8 already.
func sanitize(text string, limit int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) <= limit {
		return text
	}
	for i := range text {
		if limit == 0 {
			return text[:i]
		}
		limit--
	}
	return text
}
