package evolution

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// stored returns what is beside the text as JSON that jsonb takes, or nil when
// the text says it all. What is too large or too deep is cut down to its type; if
// even that is unknown there is nothing left to store, and it fails.
func (c content) stored() (json.RawMessage, error) {
	whole := true
	switch {
	case c.kind == gateway.TypeUnknown:
		c.beside.Raw, whole = c.remainder()
	case c.kind == gateway.TypeTemplate:
		c.beside.Template, whole = c.remainder()
	case c.rest.Ad != nil || c.rest.Transcript != "":
		c.beside.Raw, _ = json.Marshal(c.rest) //nolint:errchkjson // storable JSON and a string always marshal
	}
	out, err := json.Marshal(c.beside)
	whole = whole && err == nil && len(out) <= wire.MaxContentBytes
	switch {
	case !whole && c.kind == gateway.TypeUnknown:
		return nil, invalid("content_too_large", "A message of unknown type is too large or too deeply nested.")
	case !whole:
		return json.RawMessage(`{"raw":{"truncated":true,"type":"` + c.kind + `"}}`), nil
	case string(out) == "{}":
		return nil, nil
	}
	return out, nil
}

// remainder returns the message as the gateway gave it. ok is false when that
// cannot be stored; nil and true mean that there is nothing.
func (c content) remainder() (_ json.RawMessage, ok bool) {
	if wire.IsNull(c.raw) {
		return nil, true
	}
	kept, ok := wire.Storable(c.raw, isNoise)
	if string(kept) == "{}" {
		return nil, true
	}
	return kept, ok
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
