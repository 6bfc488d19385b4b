package httpapi

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
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

// plainURL refuses URLs that hold NUL or bytes that are not UTF-8, however they
// are escaped: no name or value of ours has any, and PostgreSQL cannot even be
// asked about one.
func plainURL(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok := storable(r.URL.Path) && utf8.ValidString(r.URL.RawQuery)
		if strings.Contains(r.URL.RawQuery, "%") {
			for name, values := range r.URL.Query() {
				ok = ok && storable(name) && storable(strings.Join(values, ""))
			}
		}
		if !ok {
			writeProblem(w, newProblem(http.StatusBadRequest, "malformed_request", "The URL holds NUL or bytes that are not UTF-8."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
