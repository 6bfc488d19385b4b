package cloud_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/secret"
)

func FuzzDecode(f *testing.F) {
	for _, folder := range []string{"cloudapi", "hostile"} {
		for _, path := range glob(f, folder) {
			if body := read(f, path); len(body) <= 20_000 { // more, and the fuzzer would spend its time on copying
				f.Add(body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d cloud.Decoder
		e, err := d.Open(body)
		if err != nil {
			if code(err) == "internal" {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		mustBeText(t, "event", e.Event)
		u, err := d.Decode(e.Event, e.Body)
		if code(err) == "internal" {
			t.Fatalf("unclassified: %v", err)
		}
		if err == nil && !u.Handled && len(u.Unusable) > 0 {
			t.Fatalf("nothing can be used, and yet no error: %+v", u)
		}
		mustBeStorable(t, u)
	})
}

// Nobody signs without a secret, and a signature holds for its body alone.
func FuzzSigned(f *testing.F) {
	f.Add([]byte("{}"), "sha256=", "APP")
	f.Add([]byte(""), sign(nil, "APP"), "APP")
	f.Add([]byte("{}"), sign([]byte("{}"), ""), "")
	f.Add([]byte("{}"), "sha256="+strings.Repeat("0", 64), "APP")
	f.Fuzz(func(t *testing.T, body []byte, header, key string) {
		want := key != "" && strings.HasPrefix(header, "sha256=") && strings.EqualFold(header, sign(body, key)) && isASCII(header)
		if got := cloud.Signed(body, header, secret.Text(key)); got != want {
			t.Fatalf("Signed(%q, %q, %q) = %v, want %v", body, header, key, got, want)
		}
		if cloud.Signed(body, header) {
			t.Fatal("signed without a secret")
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}

// mustBeStorable checks what PostgreSQL will check: text without NUL in valid
// UTF-8, and jsonb.
func mustBeStorable(t *testing.T, u gateway.Update) {
	t.Helper()
	for _, m := range u.Messages {
		for _, text := range []string{m.Account, m.ID, m.Chat, m.ChatAlt, m.Sender, m.PushName, m.Text, m.Type, m.QuotedID, string(m.Status)} {
			mustBeText(t, "message", text)
		}
		if m.Account == "" || m.ID == "" || m.Chat == "" || m.Type == "" {
			t.Fatalf("incomplete message %+v", m)
		}
		if utf8.RuneCountInString(m.Text) > 65_536 || utf8.RuneCountInString(m.PushName) > 256 || len(m.Content) > 64<<10 {
			t.Fatalf("a message is too large")
		}
		if m.Media != nil && (m.Media.GatewayID == "" || strings.ContainsAny(m.Media.GatewayID, "/.?#%")) {
			t.Fatalf("file with an unsafe id %q", m.Media.GatewayID)
		}
		if m.Content != nil {
			mustBeJSONB(t, m.Content)
		}
	}
	for _, s := range u.Statuses {
		for _, text := range []string{s.Account, s.MessageID, s.Ours, string(s.Status), s.Code, s.Reason} {
			mustBeText(t, "status", text)
		}
	}
	for _, c := range u.Contacts {
		for _, text := range append([]string{c.Account, c.JID, c.Name}, c.Aliases...) {
			mustBeText(t, "contact", text)
		}
	}
	for _, e := range u.Edits {
		mustBeText(t, "edit", e.MessageID+e.Text)
	}
	for _, line := range u.Unusable {
		mustBeText(t, "complaint", line)
		if strings.ContainsAny(line, "\r\n") || utf8.RuneCountInString(line) > 500 {
			t.Fatalf("complaint is not one short line: %q", line)
		}
	}
}

func mustBeText(t *testing.T, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		t.Fatalf("%s cannot be stored: %q", what, s)
	}
}

func mustBeJSONB(t *testing.T, content json.RawMessage) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(content)))
	decoder.UseNumber()
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			t.Fatalf("content is not JSON: %v: %q", err, content)
		}
		switch token := token.(type) {
		case string:
			mustBeText(t, "content", token)
		case json.Number:
			if _, err := token.Float64(); err != nil || len(token) > 32 {
				t.Fatalf("number %s may not fit numeric", token)
			}
		}
	}
	// jsonb takes only whole surrogate pairs. encoding/json would have mended
	// them above, so look at the bytes: the decoder writes none as escapes.
	if !json.Valid(content) || !utf8.Valid(content) || hasEscape(string(content), "d8", "d9", "da", "db", "dc", "dd", "de", "df", "0000") {
		t.Fatalf("content cannot be jsonb: %q", content)
	}
}

// hasEscape reports whether a \u escape begins with one of those digits.
func hasEscape(s string, digits ...string) bool {
	s = strings.ToLower(strings.ReplaceAll(s, `\\`, ""))
	for _, d := range digits {
		if strings.Contains(s, `\u`+d) {
			return true
		}
	}
	return false
}
