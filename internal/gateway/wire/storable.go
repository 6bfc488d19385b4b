package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxContentBytes bounds what is stored of one content as JSON.
const MaxContentBytes = 64 << 10

const (
	maxContentDepth = 100

	// jsonb keeps numbers as PostgreSQL's numeric, which has limits that JSON
	// has not. Nothing a gateway means is near these.
	maxNumberBytes    = 32
	maxNumberExponent = 300
)

// Storable copies a JSON value into a form that jsonb takes, without the
// members for which isNoise is true; a nil isNoise keeps all. ok is false when
// the copy would be larger than MaxContentBytes or too deeply nested.
func Storable(raw json.RawMessage, isNoise func(name []byte) bool) (_ json.RawMessage, ok bool) {
	k := keeper{in: Scanner{Src: raw}, isNoise: isNoise}
	if !k.keep(0) || len(k.out) > MaxContentBytes {
		return nil, false
	}
	return k.out, true
}

// keeper copies one JSON value, leaving out and mending what cannot be stored.
type keeper struct {
	in      Scanner
	out     []byte
	isNoise func(name []byte) bool
}

// keep copies the next value. It returns false as soon as the copy has become
// too large or too deep.
func (k *keeper) keep(depth int) bool {
	if depth > maxContentDepth || len(k.out) > MaxContentBytes {
		return false
	}
	switch k.in.Space() {
	case '{':
		return k.keepAll(depth, '}')
	case '[':
		return k.keepAll(depth, ']')
	case '"':
		k.out = appendString(k.out, k.in.Str())
	default:
		k.out = appendScalar(k.out, k.in.Scalar())
	}
	return true
}

// keepAll copies an object or array up to its closing bracket.
func (k *keeper) keepAll(depth int, closing byte) bool {
	k.out = append(k.out, k.in.Peek())
	k.in.Pos++
	for separate := false; k.in.Space() != closing; {
		mark := len(k.out)
		if separate {
			k.out = append(k.out, ',')
		}
		dropped := closing == '}' && !k.keepName()
		switch {
		case dropped:
			k.out = k.out[:mark]
			k.in.Value()
		case !k.keep(depth + 1):
			return false
		default:
			separate = true
		}
		if k.in.Space() == ',' {
			k.in.Pos++
		}
	}
	k.in.Pos++
	k.out = append(k.out, closing)
	return true
}

// keepName copies a member's name and colon, unless the member is noise.
func (k *keeper) keepName() bool {
	token := k.in.Str()
	k.in.Space()
	k.in.Pos++ // the colon
	if k.isNoise != nil && k.isNoise(Unquote(token)) {
		return false
	}
	k.out = append(appendString(k.out, token), ':')
	return true
}

// appendString copies a string token, without what jsonb refuses in it: NUL and
// half surrogate pairs.
func appendString(out []byte, token json.RawMessage) []byte {
	if utf8.Valid(token) && !bytes.Contains(token, []byte(`\u`)) {
		return append(out, token...)
	}
	mended, err := json.Marshal(strings.ReplaceAll(string(Unquote(token)), "\x00", ""))
	if err != nil { // a string always marshals
		return append(out, `""`...)
	}
	return append(out, mended...)
}

// appendScalar copies a number, true, false or null. A number that numeric might
// refuse is copied as a string.
func appendScalar(out []byte, token json.RawMessage) []byte {
	if isModest(token) {
		return append(out, token...)
	}
	return append(append(append(out, '"'), token...), '"')
}

func isModest(number json.RawMessage) bool {
	if len(number) > maxNumberBytes {
		return false
	}
	i := bytes.IndexAny(number, "eE")
	if i < 0 || number[0] == 't' || number[0] == 'f' { // "true" and "false" have an e too
		return true
	}
	exponent, err := strconv.Atoi(string(number[i+1:]))
	return err == nil && -maxNumberExponent <= exponent && exponent <= maxNumberExponent
}
