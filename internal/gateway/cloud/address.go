package cloud

import (
	"strings"

	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Servers of the JIDs that the Cloud API's addresses become. Business-scoped
// user ids are our extension: WhatsApp itself has no JID for them.
const (
	serverPhone = "@s.whatsapp.net"
	serverGroup = "@g.us"
	serverBSUID = "@bsuid"
)

const (
	maxPhoneDigits = 20  // E.164 has 15; some test numbers have more
	maxUserBytes   = 150 // a business-scoped user id has up to 135
)

// phoneJID returns the JID of a phone number as Meta writes it, digits with or
// without a plus sign, or "".
func phoneJID(digits string) string {
	digits = strings.TrimPrefix(digits, "+")
	if len(digits) > maxPhoneDigits || !wire.IsDigits(digits) {
		return ""
	}
	return digits + serverPhone
}

// bsuidJID returns the JID of a business-scoped user id, such as
// "US.13491208655302741918", or "". Its case is kept: it is sent back as it came.
func bsuidJID(id string) string {
	if !isUser(id) {
		return ""
	}
	return id + serverBSUID
}

// groupJID returns the JID of a group id, which is opaque text, or a JID already.
// Its case is kept. What cannot be a JID gives "".
func groupJID(id string) string {
	id = strings.TrimSuffix(id, serverGroup)
	if !isUser(id) {
		return ""
	}
	return id + serverGroup
}

// isUser reports whether s can stand before the "@" of a JID: plain ASCII that is
// safe in keys and URLs. It begins with a letter or digit, which keeps dots from
// meaning a folder anywhere.
func isUser(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && (i == 0 || !strings.ContainsRune("._-=", rune(s[i]))) {
			return false
		}
	}
	return s != "" && len(s) <= maxUserBytes
}

// isGraphID reports whether s can name something of ours in Graph: a number or a
// file. Meta's are digits; tests use words.
func isGraphID(s string) bool {
	const longest = 128
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// digitsIn returns the digits of a number that is written for people.
func digitsIn(display string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, display)
}

// user returns the part before the "@".
func user(jid string) string {
	name, _, _ := strings.Cut(jid, "@")
	return name
}
