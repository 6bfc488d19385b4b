package evolution_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
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
	for _, m := range u.Messages {
		if f := m.Media; f != nil {
			for _, text := range []string{f.Kind, f.MIMEType, f.FileName, f.SHA256, f.URL, f.GatewayID} {
				mustBeText(t, "media", text)
			}
		}
	}
	for _, e := range u.Edits {
		mustBeText(t, "edit", e.MessageID)
		mustBeText(t, "edit", e.Text)
		if e.MessageID == "" || utf8.RuneCountInString(e.Text) > 65_536 {
			t.Fatalf("not an edit: %+v", e)
		}
	}
	for _, d := range u.Deletions {
		if mustBeText(t, "deletion", d.MessageID); d.MessageID == "" {
			t.Fatal("a deletion of nothing")
		}
	}
	mustBeBounded(t, u)
	for _, s := range u.Statuses {
		mustBeText(t, "status", s.MessageID)
		mustBeText(t, "status", string(s.Status))
	}
	for _, c := range u.Contacts {
		mustBeText(t, "contact", c.JID)
		mustBeText(t, "contact", c.Name)
		mustBeText(t, "contact", strings.Join(c.Aliases, " "))
		if c.JID == "" || len(c.Aliases) > 16 || slices.Contains(c.Aliases, c.JID) {
			t.Fatalf("not a contact: %+v", c)
		}
	}
	for _, c := range u.Chats {
		mustBeText(t, "chat", c.JID)
		mustBeText(t, "chat", c.Name)
	}
}

// mustBeBounded checks what is not about messages.
func mustBeBounded(t *testing.T, u gateway.Update) {
	t.Helper()
	for _, g := range u.Groups {
		mustBeText(t, "group", g.JID+g.Name+g.Description+g.Owner+g.Action)
		for _, p := range g.Participants {
			if mustBeText(t, "participant", p.JID); p.JID == "" {
				t.Fatalf("nobody is in %+v", g)
			}
		}
	}
	for _, p := range u.Presence {
		mustBeText(t, "presence", p.Chat+p.JID+p.State)
	}
	for _, c := range u.Calls {
		mustBeText(t, "call", c.ID+c.From+c.Status)
	}
	for _, l := range u.Labels {
		mustBeText(t, "label", l.ID+l.Name)
	}
	for _, l := range u.LabelChanges {
		mustBeText(t, "label", l.LabelID+l.Chat+l.MessageID)
	}
	if len(u.Presence) > 1000 || len(u.Unusable) > 101 {
		t.Fatal("an event tells too much")
	}
}

// No vCard may panic, and what is kept of one is storable.
func FuzzCard(f *testing.F) {
	for _, seed := range []string{
		"BEGIN:VCARD\nFN:Ana\nitem1.TEL;waid=521:+52 1\nEND:VCARD", "FN:\\n\\,\n \tx\r\nTEL", "PHOTO:x\n y\n", ":;=.", "\x00\xff", " \n \n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, vcard string) {
		quoted, err := json.Marshal(vcard)
		if err != nil {
			t.Fatal(err)
		}
		mustBeStorable(t, decode(t, "messages.upsert", `{"key":{"remoteJid":"1@lid","fromMe":false,"id":"A"},"message":{"contactMessage":{"vcard":`+string(quoted)+`}}}`))
	})
}

// Whatever stands in an answer: a file is opened or there is a classified reason,
// and what is read of it came from the answer.
func FuzzOpenMedia(f *testing.F) {
	for _, seed := range []string{
		`{"mediaType":"x","size":{"fileLength":3},"mimetype":"a/b","base64":"AAAA","buffer":null}`, `{"base64":""}`, `{"base64":"AA`, `null`, ``,
		`{"x":{"base64":"AAAA"},"base64":null}`, `{"a":"base64","base64":"AA\/="}`, `["base64","AAAA"]`, `{"base64":"%%%%"}`, `{"b\"":1,"base64" : "AAAA"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusCreated, Body: io.NopCloser(bytes.NewReader(body))}, nil
		}
		s := evolution.NewSender(&http.Client{Transport: answering(answer)})
		file, contentType, _, err := s.OpenMedia(t.Context(), account("http://gateway.invalid"), "A")
		if err != nil {
			if code(err) == "internal" {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		defer file.Close()
		mustBeText(t, "type", contentType)
		if content, _ := io.ReadAll(file); len(content) > len(body) {
			t.Fatalf("%d bytes out of %d", len(content), len(body))
		}
	})
}

// answering is a transport that never leaves the test.
type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

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
