package httpapi

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// broken reports whether JSON holds bytes that are not UTF-8, or an escape of
// half a surrogate pair.
func broken(raw []byte) bool {
	if !utf8.Valid(raw) {
		return true
	}
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return false
		}
		if raw[i+1] != 'u' {
			raw = raw[i+2:] // another escape, maybe of a backslash
			continue
		}
		r, ok := unit(raw[i:])
		raw = raw[min(i+6, len(raw)):]
		if !ok || !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := unit(raw)
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		raw = raw[6:]
	}
}

// unit reads the UTF-16 code unit of an escape such as \ud83d.
func unit(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}
