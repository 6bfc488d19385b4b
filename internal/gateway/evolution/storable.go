package evolution

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/gateway"
)

const (
	maxContentBytes = 64 << 10
	maxContentDepth = 100

	// jsonb keeps numbers as PostgreSQL's numeric, which has limits that JSON
	// has not. Nothing a gateway means is near these.
	maxNumberBytes    = 32
	maxNumberExponent = 300
)

// storable returns the content in a form that jsonb takes, or nil when the text
// says it all. What is too large or too deep is cut down to its type; if even
// that is unknown there is nothing left to store, and it fails.
func (c content) storable() (json.RawMessage, error) {
	if c.isPlain || isNull(c.raw) {
		return nil, nil
	}
	k := keeper{in: scanner{src: c.raw}}
	switch {
	case k.keep(0) && len(k.out) <= maxContentBytes:
		if string(k.out) == "{}" {
			return nil, nil
		}
		return k.out, nil
	case c.kind == gateway.TypeUnknown:
		return nil, invalid("content_too_large", "A message of unknown type is too large or too deeply nested.")
	}
	return json.RawMessage(`{"truncated":true,"type":"` + c.kind + `"}`), nil
}

// keeper copies one JSON value, leaving out and mending what cannot be stored.
type keeper struct {
	in  scanner
	out []byte
}

// keep copies the next value. It returns false as soon as the copy has become
// too large or too deep.
func (k *keeper) keep(depth int) bool {
	if depth > maxContentDepth || len(k.out) > maxContentBytes {
		return false
	}
	switch k.in.space() {
	case '{':
		return k.keepAll(depth, '}')
	case '[':
		return k.keepAll(depth, ']')
	case '"':
		k.out = appendString(k.out, k.in.str())
	default:
		k.out = appendScalar(k.out, k.in.scalar())
	}
	return true
}

// keepAll copies an object or array up to its closing bracket.
func (k *keeper) keepAll(depth int, closing byte) bool {
	k.out = append(k.out, k.in.peek())
	k.in.pos++
	for separate := false; k.in.space() != closing; {
		mark := len(k.out)
		if separate {
			k.out = append(k.out, ',')
		}
		dropped := closing == '}' && !k.keepName()
		switch {
		case dropped:
			k.out = k.out[:mark]
			k.in.value()
		case !k.keep(depth + 1):
			return false
		default:
			separate = true
		}
		if k.in.space() == ',' {
			k.in.pos++
		}
	}
	k.in.pos++
	k.out = append(k.out, closing)
	return true
}

// keepName copies a member's name and colon, unless the member is noise.
func (k *keeper) keepName() bool {
	token := k.in.str()
	k.in.space()
	k.in.pos++ // the colon
	if isNoise(unquote(token)) {
		return false
	}
	k.out = append(appendString(k.out, token), ':')
	return true
}

// isNoise reports whether a member is left out: bytes of pictures, which belong
// into no table of messages, the quoted message, of which the id is kept, and
// the cryptography of WhatsApp.
func isNoise(name []byte) bool {
	switch string(name) {
	case "base64", "jpegThumbnail", "pngThumbnail", "thumbnail", "quotedMessage",
		"messageContextInfo", "senderKeyDistributionMessage":
		return true
	}
	return false
}

// appendString copies a string token, without what jsonb refuses in it: NUL and
// half surrogate pairs.
func appendString(out []byte, token json.RawMessage) []byte {
	if utf8.Valid(token) && !bytes.Contains(token, []byte(`\u`)) {
		return append(out, token...)
	}
	mended, err := json.Marshal(strings.ReplaceAll(string(unquote(token)), "\x00", ""))
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
