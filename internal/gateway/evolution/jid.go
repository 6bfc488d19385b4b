package evolution

import (
	"strings"

	"github.com/msgorch/msgorch/internal/gateway/wire"
)

const (
	maxJIDBytes = 128

	serverPhone = "@s.whatsapp.net"
	serverLID   = "@lid"
	serverGroup = "@g.us"
)

// canonicalJID returns the one spelling of a WhatsApp address: lower case,
// without the device suffix, on the server's present name. What it returns is
// plain ASCII and safe in keys and URLs; addresses that cannot be brought into
// that form are refused, not repaired, because a wrong repair puts a message
// into somebody else's chat.
func canonicalJID(raw string) (string, bool) {
	if len(raw) > maxJIDBytes {
		return "", false
	}
	user, server, ok := strings.Cut(lowerASCII(raw), "@")
	if !ok {
		return "", false
	}
	server, ok = canonicalServer(server)
	if !ok {
		return "", false
	}
	user, device, hasDevice := strings.Cut(user, ":")
	if hasDevice && !wire.IsDigits(device) {
		return "", false
	}
	if !isUser(user) {
		return "", false
	}
	return user + server, true
}

// canonicalServer returns a server's name with its "@". Hosted accounts are the
// same people on Meta's servers, and c.us is what WhatsApp Web calls a phone.
func canonicalServer(name string) (string, bool) {
	switch name {
	case "s.whatsapp.net", "c.us", "hosted":
		return serverPhone, true
	case "lid", "hosted.lid":
		return serverLID, true
	case "g.us", "broadcast", "newsletter", "bot":
		return "@" + name, true
	}
	return "", false
}

// lowerASCII leaves other scripts alone: Unicode has letters outside ASCII whose
// lower case is inside it.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// isUser reports whether s can stand before the "@". It begins with a letter or
// digit, which keeps dots from meaning a folder anywhere.
func isUser(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != ""
}

func isPhone(jid string) bool { return strings.HasSuffix(jid, serverPhone) }
func isLID(jid string) bool   { return strings.HasSuffix(jid, serverLID) }
func isGroup(jid string) bool { return strings.HasSuffix(jid, serverGroup) }

// user returns the part before the "@".
func user(jid string) string {
	name, _, _ := strings.Cut(jid, "@")
	return name
}
