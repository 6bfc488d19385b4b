// Package wire is what the dialects of the gateways share: reading JSON that
// keeps no promises, making text storable, and telling from an exchange that
// went wrong whether its message may have been sent. It knows no gateway.
package wire

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/fault"
)

// A gateway's JSON is read in two steps: json.Valid accepts a body once, and
// everything below moves over the accepted bytes without checking them again.
// encoding/json itself is not used to take objects apart because it matches
// keys in any case, so that "Instance" would override "instance", and because
// the same field is a number, a string or an object depending on the version.

// Open takes the outermost object of a body apart. It fails with fault.Invalid
// when the body is anything but one JSON object.
func Open(body []byte) (Object, error) {
	// json.Valid refuses more than 10,000 levels of nesting and anything after
	// the first value.
	if !json.Valid(body) {
		return nil, fault.New(fault.Invalid, "malformed_json", "The body is not valid JSON.")
	}
	top := ObjectOf(body)
	if top == nil {
		return nil, fault.New(fault.Invalid, "malformed_json", "The body is not a JSON object.")
	}
	return top, nil
}

// Object is the members of a JSON object in their order. Nil is no object.
type Object []Member

// Member is one name of an object and its value.
type Member struct {
	Name  []byte // decoded
	Value json.RawMessage
}

// ObjectOf takes an object apart. It returns nil for anything else.
func ObjectOf(raw json.RawMessage) Object {
	s := Scanner{Src: raw}
	if s.Space() != '{' {
		return nil
	}
	s.Pos++
	members := make(Object, 0, 8)
	for s.Space() == '"' {
		name := Unquote(s.Str())
		s.Space()
		s.Pos++ // the colon
		members = append(members, Member{name, s.Value()})
		if s.Space() == ',' {
			s.Pos++
		}
	}
	return members
}

// Get returns the last member of exactly that name, or nil. The last one wins
// as it does in encoding/json and in jsonb.
func (o Object) Get(name string) json.RawMessage {
	for _, m := range slices.Backward(o) {
		if string(m.Name) == name {
			return m.Value
		}
	}
	return nil
}

// Text returns a member that is a string, or "".
func (o Object) Text(name string) string {
	text, _ := Text(o.Get(name))
	return text
}

// Object returns a member that is an object, or nil.
func (o Object) Object(name string) Object { return ObjectOf(o.Get(name)) }

// Elements yields the elements of an array; of anything else, nothing.
func Elements(raw json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		s := Scanner{Src: raw}
		if s.Space() != '[' {
			return
		}
		s.Pos++
		for s.Space() != ']' && s.Pos < len(raw) {
			if !yield(s.Value()) {
				return
			}
			if s.Space() == ',' {
				s.Pos++
			}
		}
	}
}

// First returns the first element of an array; of anything else, nil.
func First(raw json.RawMessage) json.RawMessage {
	for element := range Elements(raw) {
		return element
	}
	return nil
}

// Text decodes a string; ok is false for anything else. Invalid UTF-8 and lone
// surrogates become U+FFFD.
func Text(raw json.RawMessage) (text string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return string(Unquote(raw)), true
}

// Unquote decodes the inside of a string token, without copying if it can.
func Unquote(token json.RawMessage) []byte {
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

// IsNull reports whether a value is null or was never there.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }

// IsTrue reports whether a value is the JSON true.
func IsTrue(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == 't' }

// IsArray reports whether a value is an array.
func IsArray(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '[' }
