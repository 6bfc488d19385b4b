package evolution_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

func FuzzOpen(f *testing.F) {
	seed(f, func(_ string, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := evolution.Decoder{}.Open(body)
		if err != nil {
			if code(err) == "internal" {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if !json.Valid(e.Body) {
			t.Fatalf("Body is not valid JSON: %q", e.Body)
		}
		mustBeText(t, "event", e.Event)
		mustBeText(t, "instance", e.Instance)
		var tree any
		if err := json.Unmarshal(e.Body, &tree); err != nil {
			t.Skip(err) // a number beyond float64, which only this test minds
		}
		mustBeRedacted(t, tree)
		// An independent reading of the same body agrees on whose it is.
		var exact map[string]any
		if json.Unmarshal(body, &exact) == nil && e.Instance != "" && exact["instance"] != e.Instance {
			t.Fatalf("instance = %q, want %q", e.Instance, exact["instance"])
		}
	})
}

func FuzzDecode(f *testing.F) {
	seed(f, func(event string, body []byte) { f.Add(event, body) })
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		u, err := evolution.Decoder{}.Decode(event, body)
		if err != nil {
			if code(err) == "internal" {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		mustBeStorable(t, u)
	})
}

// seed passes on the whole corpus with the event each body names.
func seed(tb testing.TB, add func(event string, body []byte)) {
	tb.Helper()
	for _, folder := range []string{"evolution", "hostile"} {
		for _, path := range glob(tb, folder) {
			body := read(tb, path)
			if len(body) > 20_000 {
				continue // the fuzzer would spend its time on copying
			}
			var envelope struct{ Event string }
			_ = json.Unmarshal(body, &envelope) // what cannot be read has no event
			add(envelope.Event, body)
		}
	}
}

func mustBeRedacted(t *testing.T, tree any) {
	t.Helper()
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			switch strings.ToLower(name) {
			case "apikey", "api_key", "appstatesynckeyshare":
				if value != nil && value != "[redacted]" {
					t.Fatalf("%s = %v, want it redacted", name, value)
				}
			default:
				mustBeRedacted(t, value)
			}
		}
	case []any:
		for _, value := range tree {
			mustBeRedacted(t, value)
		}
	}
}

// mustBeStorable checks what PostgreSQL will check: text without NUL in valid
// UTF-8, and jsonb.
func mustBeStorable(t *testing.T, u gateway.Update) {
	t.Helper()
	for _, m := range u.Messages {
		for _, text := range []string{m.ID, m.Chat, m.ChatAlt, m.Sender, m.PushName, m.Text, m.Type, m.QuotedID, string(m.Status)} {
			mustBeText(t, "message", text)
		}
		if m.ID == "" || m.Chat == "" || m.Type == "" {
			t.Fatalf("incomplete message %+v", m)
		}
		if utf8.RuneCountInString(m.Text) > 65_536 || utf8.RuneCountInString(m.PushName) > 256 || len(m.Content) > 64<<10 {
			t.Fatalf("a message is too large")
		}
		if m.Content != nil {
			mustBeJSONB(t, m.Content)
		}
	}
	for _, s := range u.Statuses {
		mustBeText(t, "status", s.MessageID)
		mustBeText(t, "status", string(s.Status))
	}
	for _, c := range u.Contacts {
		mustBeText(t, "contact", c.JID)
		mustBeText(t, "contact", c.Name)
	}
	for _, c := range u.Chats {
		mustBeText(t, "chat", c.JID)
		mustBeText(t, "chat", c.Name)
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
