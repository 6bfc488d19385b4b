package wire

import (
	"encoding/json"
	"strings"

	"github.com/msgorch/msgorch/internal/fault"
)

// Bounds of what is stored of a message.
const (
	MaxTextRunes = 65_536 // what WhatsApp allows in one message
	MaxNameRunes = 256
	MaxIDBytes   = 128 // of a message's id
)

// Sanitize makes text storable: no NUL, which PostgreSQL refuses, and at most
// limit runes. The text is valid UTF-8 already.
func Sanitize(text string, limit int) string {
	return FirstRunes(strings.ReplaceAll(text, "\x00", ""), limit)
}

// FirstRunes cuts s after n runes.
func FirstRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// OneLine makes text valid UTF-8 without line breaks, NUL or runs of space.
func OneLine(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", " ")
	return strings.Join(strings.Fields(s), " ")
}

// MaskNumbers replaces every run of digits that is long enough for a phone
// number.
func MaskNumbers(s string) string {
	const shortest = 8
	var out strings.Builder
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits >= shortest {
			out.WriteString("[number]")
		} else {
			out.WriteString(s[:digits])
		}
		s = s[digits:]
		next := strings.IndexAny(s, "0123456789")
		if next < 0 {
			next = len(s)
		}
		out.WriteString(s[:next])
		s = s[next:]
	}
	return out.String()
}

// IsDigits reports whether s is ASCII digits and nothing else.
func IsDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// MessageID reads a message's id: opaque text that is stored as it came. It
// fails with fault.Invalid.
func MessageID(raw json.RawMessage) (string, error) {
	if IsNull(raw) {
		return "", fault.New(fault.Invalid, "missing_message_id", "A message has no id.")
	}
	id, ok := Text(raw)
	if !ok || !IsMessageID(id) {
		return "", fault.New(fault.Invalid, "invalid_message_id", "A message's id is not a text of 1 to 128 bytes.")
	}
	return id, nil
}

// IsMessageID reports whether a gateway's id of a message can be stored.
func IsMessageID(id string) bool {
	return id != "" && len(id) <= MaxIDBytes && !strings.Contains(id, "\x00")
}
