package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxBodyBytes bounds every request body: a WhatsApp text has at most 64 KiB.
const maxBodyBytes = 1 << 20

// writeJSON answers with v. Its length is declared, so that an answer that is
// flushed early arrives whole.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only our own types come here
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nothing to do about it
}

// refusal is the body by which Evolution says no. The message is a string, a
// list, or a list of lists, depending on who refuses.
func refusal(status int, message any) any {
	type response struct {
		Message any `json:"message"`
	}
	return struct {
		Status   int      `json:"status"`
		Error    string   `json:"error"`
		Response response `json:"response"`
	}{status, http.StatusText(status), response{message}}
}

func writeRefusal(w http.ResponseWriter, status int, message any) {
	writeJSON(w, status, refusal(status, message))
}

func unknownRoute(w http.ResponseWriter, r *http.Request) {
	writeRefusal(w, http.StatusNotFound, []string{"Cannot " + r.Method + " " + r.URL.Path})
}

// writeError answers a /sandbox call whose request is wrong; err names the
// field.
func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

// wrong says what is the matter with a field of a request.
func wrong(field, format string, args ...any) error {
	return fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...))
}

// readStrict decodes a request body that must be exactly one JSON object of
// known fields.
func readStrict(w http.ResponseWriter, r *http.Request, v any) error {
	return readStrictUpTo(maxBodyBytes, w, r, v)
}

// readStrictUpTo is readStrict for bodies that may be larger.
func readStrictUpTo(most int64, w http.ResponseWriter, r *http.Request, v any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return wrong("body", "cannot be read: %v", err)
	}
	return decodeStrict(data, v)
}

func decodeStrict(data []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return wrong("body", "must be a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explain(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return wrong("body", "must be a single JSON object")
	}
	return nil
}

// explain turns what encoding/json says into a sentence that begins with the
// field.
func explain(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrong(cmp.Or(e.Field, "body"), "cannot be a JSON %s", e.Value)
	}
	// The package has no type for this error.
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return wrong(strings.Trim(quoted, `"`), "is not a known field")
	}
	return wrong("body", "is not valid JSON: %v", err)
}
