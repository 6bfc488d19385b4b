package tasks

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Servers of the JIDs that a message can be sent to.
const (
	personServer = "@s.whatsapp.net"
	groupServer  = "@g.us"
	lidServer    = "@lid"
	scopedServer = "@bsuid" // a business-scoped user id of the Cloud API
)

// punctuation is what people write into numbers.
const punctuation = " -.()"

// ChatOf returns the JID of the chat that a recipient stands for. It takes
// E.164 with or without its plus sign, with spaces, dots, dashes and brackets
// as people write them, or a JID of a person, group or LID. Otherwise it
// returns an *InvalidError.
func ChatOf(to string) (jid string, err error) {
	if user, server, ok := strings.Cut(to, "@"); ok {
		return chatOfJID(user, "@"+server)
	}
	digits := strings.TrimPrefix(to, "+")
	if strings.ContainsAny(digits, punctuation) {
		digits = strings.Map(func(r rune) rune {
			if strings.ContainsRune(punctuation, r) {
				return -1
			}
			return r
		}, digits)
	}
	// ITU-T E.164: at most 15 digits, the first of which is not zero.
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || !allDigits(digits) {
		return "", &InvalidError{"to", "invalid_number", "must be a phone number in E.164, such as +5215550000001, or a JID"}
	}
	return digits + personServer, nil
}

func chatOfJID(user, server string) (string, error) {
	ok := false
	switch server {
	case personServer, lidServer:
		ok = len(user) >= 5 && len(user) <= 20 && allDigits(user)
	case groupServer: // old groups are "creator-time", new ones a number, and the Cloud API's have letters
		ok = len(user) >= 5 && len(user) <= 40 && allDigits(strings.Replace(user, "-", "", 1)) && strings.Trim(user, "-") == user ||
			isScopedID(user)
	case scopedServer:
		ok = isScopedID(user)
	}
	if !ok {
		return "", &InvalidError{"to", "invalid_jid", "must be a JID such as 5215550000001@s.whatsapp.net, …@g.us or …@lid"}
	}
	return user + server, nil
}

// isScopedID reports whether s may be an id of the Cloud API: letters, and digits
// and a few signs among them.
func isScopedID(s string) bool {
	letters := 0
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		case c >= '0' && c <= '9', strings.IndexByte("-_.=", c) >= 0:
		default:
			return false
		}
	}
	return letters > 0 && len(s) >= 5 && len(s) <= 255
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// checkName judges an instance's name: what a gateway and a URL can carry.
func checkName(name string) (reason string) {
	const rule = "must be 1 to 64 letters, digits, spaces or any of . _ - + @"
	if name == "" || utf8.RuneCountInString(name) > 64 || name[0] == ' ' || name[len(name)-1] == ' ' || name == "." || name == ".." {
		return rule
	}
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" ._-+@", r) {
			return rule
		}
	}
	return ""
}

// CheckInstance returns an *InvalidError when name cannot be an instance's.
func CheckInstance(name string) error {
	if reason := checkName(name); reason != "" {
		return &InvalidError{"instance", "invalid_instance", reason}
	}
	return nil
}
