package evolution

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// storable returns the content in a form that jsonb takes, or nil when the text
// says it all. What is too large or too deep is cut down to its type; if even
// that is unknown there is nothing left to store, and it fails.
func (c content) storable() (json.RawMessage, error) {
	if c.isPlain || wire.IsNull(c.raw) {
		return nil, nil
	}
	kept, ok := wire.Storable(c.raw, isNoise)
	switch {
	case ok && string(kept) == "{}":
		return nil, nil
	case ok:
		return kept, nil
	case c.kind == gateway.TypeUnknown:
		return nil, invalid("content_too_large", "A message of unknown type is too large or too deeply nested.")
	}
	return json.RawMessage(`{"truncated":true,"type":"` + c.kind + `"}`), nil
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
