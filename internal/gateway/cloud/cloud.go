// Package cloud is the dialect of the WhatsApp Cloud API, spoken with Meta
// itself: webhooks that Meta signs, and requests to the Graph API. One webhook
// may tell of several numbers, people and messages at once; what cannot be used
// of it never costs the rest.
//
// Shapes and codes are those of Meta's documentation of the WhatsApp Business
// Platform, business-scoped user ids (2026) included.
package cloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/secret"
)

// DefaultBaseURL is Graph, with the version that this package was written for.
const DefaultBaseURL = "https://graph.facebook.com/v23.0"

// Decoder reads the webhooks of the Cloud API.
type Decoder struct{}

var _ gateway.Decoder = Decoder{}

// Verify judges the GET with which Meta asks whether a webhook is ours: whoever
// answers must know the token that was agreed on. The challenge is to be
// answered as text/plain, exactly as it came; anything but ok deserves a 403.
// An empty token matches nothing.
func Verify(query url.Values, token secret.Text) (challenge string, ok bool) {
	given, agreed := sha256.Sum256([]byte(query.Get("hub.verify_token"))), sha256.Sum256([]byte(token))
	matches := subtle.ConstantTimeCompare(given[:], agreed[:]) == 1
	if !matches || token == "" || query.Get("hub.mode") != "subscribe" {
		return "", false
	}
	return query.Get("hub.challenge"), true
}

// Signed reports whether Meta signed a body: header is the value of
// X-Hub-Signature-256, "sha256=" and 64 hexadecimal digits of the body's HMAC
// under the app's secret. Several secrets are for the time in which one replaces
// another; empty ones sign nothing. The body is the raw bytes: Meta escapes
// characters in its own way, so JSON that was written again has another
// signature.
func Signed(body []byte, header string, secrets ...secret.Text) bool {
	digits, ok := strings.CutPrefix(header, "sha256=")
	if !ok || len(digits) != hex.EncodedLen(sha256.Size) {
		return false
	}
	given, err := hex.DecodeString(digits)
	if err != nil {
		return false
	}
	signed := false
	for _, key := range secrets {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		signed = hmac.Equal(mac.Sum(nil), given) && key != "" || signed
	}
	return signed
}
