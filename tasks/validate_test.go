package tasks_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/msgorch/msgorch/tasks"
)

func hello(key string) tasks.SendMessage {
	return tasks.SendMessage{Key: key, Instance: "sales", To: "+5215550000001", Text: "Hola"}
}

func TestAMessageIsValidatedFieldByField(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		edit  func(*tasks.SendMessage)
		field string // that is wrong; empty: none is
		code  string
	}{
		{"as it should be", func(*tasks.SendMessage) {}, "", ""},

		{"no instance", func(m *tasks.SendMessage) { m.Instance = "" }, "instance", "invalid_instance"},
		{"instance with a slash", func(m *tasks.SendMessage) { m.Instance = "a/b" }, "instance", "invalid_instance"},
		{"instance with a colon", func(m *tasks.SendMessage) { m.Instance = "a:b" }, "instance", "invalid_instance"},
		{"instance with NUL", func(m *tasks.SendMessage) { m.Instance = "a\x00b" }, "instance", "invalid_instance"},
		{"instance of broken UTF-8", func(m *tasks.SendMessage) { m.Instance = "a\xff" }, "instance", "invalid_instance"},
		{"instance that is a folder", func(m *tasks.SendMessage) { m.Instance = ".." }, "instance", "invalid_instance"},
		{"instance with a space at its end", func(m *tasks.SendMessage) { m.Instance = "a " }, "instance", "invalid_instance"},
		{"instance with spaces, letters and signs", func(m *tasks.SendMessage) { m.Instance = "Ventas México +52.1_a-b@x" }, "", ""},
		{"instance of 64 characters", func(m *tasks.SendMessage) { m.Instance = strings.Repeat("ñ", 64) }, "", ""},
		{"instance of 65 characters", func(m *tasks.SendMessage) { m.Instance = strings.Repeat("ñ", 65) }, "instance", "invalid_instance"},

		{"no recipient", func(m *tasks.SendMessage) { m.To = "" }, "to", "invalid_number"},
		{"recipient in words", func(m *tasks.SendMessage) { m.To = "mother" }, "to", "invalid_number"},
		{"unknown server", func(m *tasks.SendMessage) { m.To = "5215550000001@example.com" }, "to", "invalid_jid"},

		{"a picture", func(m *tasks.SendMessage) {
			m.Text, m.Media = "", &tasks.Media{Kind: "image", URL: "https://example.com/a.png"}
		}, "", ""},
		{"a picture and a text", func(m *tasks.SendMessage) { m.Media = &tasks.Media{Kind: "image", URL: "https://example.com/a.png"} }, "text", "several_contents"},
		{"a picture and a place", func(m *tasks.SendMessage) {
			m.Text, m.Media, m.Location = "", &tasks.Media{Kind: "image", URL: "https://example.com/a.png"}, &tasks.Location{}
		}, "text", "several_contents"},
		{"a file of no kind", func(m *tasks.SendMessage) { m.Text, m.Media = "", &tasks.Media{URL: "https://example.com/a.png"} }, "media", "invalid_content"},
		{"a file that is nowhere", func(m *tasks.SendMessage) { m.Text, m.Media = "", &tasks.Media{Kind: "image"} }, "media", "invalid_content"},
		{"a file at two places", func(m *tasks.SendMessage) {
			m.Text, m.Media = "", &tasks.Media{Kind: "image", URL: "https://example.com/a.png", Base64: "aGV5"}
		}, "media", "invalid_content"},
		{"a file on this machine", func(m *tasks.SendMessage) {
			m.Text, m.Media = "", &tasks.Media{Kind: "image", URL: "file:///etc/passwd"}
		}, "media", "invalid_content"},
		{"a file in broken base64", func(m *tasks.SendMessage) { m.Text, m.Media = "", &tasks.Media{Kind: "image", Base64: "a"} }, "media", "invalid_content"},
		{"a voice with a caption", func(m *tasks.SendMessage) {
			m.Text, m.Media = "", &tasks.Media{Kind: "voice", URL: "https://example.com/a.ogg", Caption: "Hola"}
		}, "media", "invalid_content"},
		{"a caption with NUL", func(m *tasks.SendMessage) {
			m.Text, m.Media = "", &tasks.Media{Kind: "image", URL: "https://example.com/a.png", Caption: "a\x00"}
		}, "media", "invalid_content"},
		{"a place", func(m *tasks.SendMessage) { m.Text, m.Location = "", &tasks.Location{Latitude: 19.4, Longitude: -99.1} }, "", ""},
		{"a place beyond the pole", func(m *tasks.SendMessage) { m.Text, m.Location = "", &tasks.Location{Latitude: 91} }, "location", "invalid_content"},
		{"a place that is no number", func(m *tasks.SendMessage) { m.Text, m.Location = "", &tasks.Location{Latitude: math.NaN()} }, "location", "invalid_content"},
		{"a contact", func(m *tasks.SendMessage) {
			m.Text, m.Contacts = "", []tasks.Card{{Name: "Ana", Phones: []string{"+5215550000001"}}}
		}, "", ""},
		{"a contact without a name", func(m *tasks.SendMessage) {
			m.Text, m.Contacts = "", []tasks.Card{{Phones: []string{"+5215550000001"}}}
		}, "contacts", "invalid_content"},
		{"no contact", func(m *tasks.SendMessage) { m.Text, m.Contacts = "", []tasks.Card{} }, "contacts", "invalid_content"},
		{"a reaction", func(m *tasks.SendMessage) { m.Text, m.Reaction = "", &tasks.Reaction{To: "x", Emoji: "👍"} }, "", ""},
		{"a reaction to nothing", func(m *tasks.SendMessage) { m.Text, m.Reaction = "", &tasks.Reaction{Emoji: "👍"} }, "reaction", "invalid_content"},
		{"a poll", func(m *tasks.SendMessage) {
			m.Text, m.Poll = "", &tasks.Poll{Name: "¿Cuál?", Options: []string{"a", "b"}}
		}, "", ""},
		{"a poll of one option twice", func(m *tasks.SendMessage) {
			m.Text, m.Poll = "", &tasks.Poll{Name: "¿Cuál?", Options: []string{"a", "a"}}
		}, "poll", "invalid_content"},
		{"a template", func(m *tasks.SendMessage) { m.Text, m.Template = "", json.RawMessage(`{"name":"hola"}`) }, "", ""},
		{"a template that is a list", func(m *tasks.SendMessage) { m.Text, m.Template = "", json.RawMessage(`[]`) }, "template", "invalid_content"},
		{"a template that is no JSON", func(m *tasks.SendMessage) { m.Text, m.Template = "", json.RawMessage(`{`) }, "template", "invalid_content"},
		{"buttons", func(m *tasks.SendMessage) {
			m.Text, m.Interactive = "", &tasks.Interactive{Kind: "buttons", Body: "¿Sí?", Buttons: []tasks.Button{{ID: "1", Title: "Sí"}}}
		}, "", ""},
		{"four buttons", func(m *tasks.SendMessage) {
			m.Text, m.Interactive = "", &tasks.Interactive{Kind: "buttons", Body: "¿Sí?", Buttons: []tasks.Button{{ID: "1", Title: "a"}, {ID: "2", Title: "b"}, {ID: "3", Title: "c"}, {ID: "4", Title: "d"}}}
		}, "interactive", "invalid_content"},
		{"two buttons of one id", func(m *tasks.SendMessage) {
			m.Text, m.Interactive = "", &tasks.Interactive{Kind: "buttons", Body: "¿Sí?", Buttons: []tasks.Button{{ID: "1", Title: "a"}, {ID: "1", Title: "b"}}}
		}, "interactive", "invalid_content"},
		{"a list", func(m *tasks.SendMessage) {
			m.Text, m.Interactive = "", &tasks.Interactive{Kind: "list", Body: "¿Cuál?", Button: "Ver", Sections: []tasks.Section{{Rows: []tasks.Row{{ID: "1", Title: "a"}}}}}
		}, "", ""},
		{"a list without rows", func(m *tasks.SendMessage) {
			m.Text, m.Interactive = "", &tasks.Interactive{Kind: "list", Body: "¿Cuál?", Button: "Ver", Sections: []tasks.Section{{}}}
		}, "interactive", "invalid_content"},

		{"no text", func(m *tasks.SendMessage) { m.Text = "" }, "text", "invalid_text"},
		{"text with NUL", func(m *tasks.SendMessage) { m.Text = "a\x00b" }, "text", "invalid_text"},
		{"text of broken UTF-8", func(m *tasks.SendMessage) { m.Text = "a\xc3\x28" }, "text", "invalid_text"},
		{"text with half a surrogate pair", func(m *tasks.SendMessage) { m.Text = "a\xed\xa0\x80" }, "text", "invalid_text"},
		{"text of 65,536 characters", func(m *tasks.SendMessage) { m.Text = strings.Repeat("é", 65_536) }, "", ""},
		{"text of 65,537 characters", func(m *tasks.SendMessage) { m.Text = strings.Repeat("é", 65_537) }, "text", "invalid_text"},

		{"key of 255 bytes", func(m *tasks.SendMessage) { m.Key = strings.Repeat("k", 255) }, "", ""},
		{"key of 256 bytes", func(m *tasks.SendMessage) { m.Key = strings.Repeat("k", 256) }, "key", "invalid_key"},
		{"key with NUL", func(m *tasks.SendMessage) { m.Key = "\x00" }, "key", "invalid_key"},
		{"key of broken UTF-8", func(m *tasks.SendMessage) { m.Key = "\xff" }, "key", "invalid_key"},

		{"critical", func(m *tasks.SendMessage) { m.Priority = "critical" }, "", ""},
		{"a queue that is no priority", func(m *tasks.SendMessage) { m.Priority = "inbound" }, "priority", "invalid_priority"},
		{"priority in capitals", func(m *tasks.SendMessage) { m.Priority = "BULK" }, "priority", "invalid_priority"},

		{"expires before it is sent", func(m *tasks.SendMessage) { m.SendAt, m.ExpiresAt = at, at.Add(-time.Second) }, "expires_at", "invalid_time"},
		{"expires as it is sent", func(m *tasks.SendMessage) { m.SendAt, m.ExpiresAt = at, at }, "", ""},
		{"expires, sent now", func(m *tasks.SendMessage) { m.ExpiresAt = at }, "", ""},

		{"metadata", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a": []any{1, "b", nil}} }, "", ""},
		{"metadata of 16,384 bytes", func(m *tasks.SendMessage) {
			m.Metadata = map[string]any{"a": strings.Repeat("x", 16_384-len(`{"a":""}`))}
		}, "", ""},
		{"metadata of 16,385 bytes", func(m *tasks.SendMessage) {
			m.Metadata = map[string]any{"a": strings.Repeat("x", 16_385-len(`{"a":""}`))}
		}, "metadata", "invalid_metadata"},
		{"metadata that is no JSON", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a": math.Inf(1)} }, "metadata", "invalid_metadata"},
		{"metadata with NUL in a value", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a": "b\x00"} }, "metadata", "invalid_metadata"},
		{"metadata with NUL in a name", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a\x00": 1} }, "metadata", "invalid_metadata"},
		{"metadata with a backslash and zeros", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a": `\u0000`} }, "", ""},
		{"metadata with a backslash and NUL", func(m *tasks.SendMessage) { m.Metadata = map[string]any{"a": "\\\x00"} }, "metadata", "invalid_metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := hello("a")
			tt.edit(&m)

			err := m.Validate()

			checkInvalid(t, err, tt.field, tt.code)
			if _, newErr := tasks.New(m); (newErr == nil) != (err == nil) {
				t.Errorf("New error = %v, Validate error = %v", newErr, err)
			}
		})
	}
}

func checkInvalid(t *testing.T, err error, field, code string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Fatalf("error = %v, want none", err)
		}
		return
	}
	e, ok := errors.AsType[*tasks.InvalidError](err)
	if !ok {
		t.Fatalf("error = %v, want an *InvalidError", err)
	}
	if e.Field != field || e.Code != code {
		t.Errorf("error is of %s (%s), want %s (%s)", e.Field, e.Code, field, code)
	}
	if !errors.Is(err, tasks.ErrInvalid) {
		t.Error("errors.Is(err, ErrInvalid) = false, want true")
	}
}

func TestBatchesAreValidated(t *testing.T) {
	t.Parallel()
	event := tasks.GatewayEvent{ID: "e1"}
	message := tasks.SendMessage{ID: "m1"}
	tests := []struct {
		name  string
		give  tasks.Payload
		field string
		code  string
	}{
		{"messages", tasks.SendMessages{Batch: "b", Messages: []tasks.SendMessage{message}}, "", ""},
		{"messages without a name", tasks.SendMessages{Messages: []tasks.SendMessage{message}}, "messages", "invalid_batch"},
		{"no messages", tasks.SendMessages{Batch: "b"}, "messages", "invalid_batch"},
		{"a message without a row", tasks.SendMessages{Batch: "b", Messages: []tasks.SendMessage{message, hello("a")}}, "messages", "invalid_batch"},
		{"event", event, "", ""},
		{"a file", tasks.FetchMedia{ID: "m1"}, "", ""},
		{"a file of nothing", tasks.FetchMedia{}, "id", "missing_id"},
		{"event without an id", tasks.GatewayEvent{Instance: "sales"}, "id", "missing_id"},
		{"events", tasks.GatewayEvents{Batch: "b", Events: []tasks.GatewayEvent{event}}, "", ""},
		{"events without a name", tasks.GatewayEvents{Events: []tasks.GatewayEvent{event}}, "events", "invalid_batch"},
		{"no events", tasks.GatewayEvents{Batch: "b"}, "events", "invalid_batch"},
		{"an event without an id among others", tasks.GatewayEvents{Batch: "b", Events: []tasks.GatewayEvent{event, {}}}, "id", "missing_id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkInvalid(t, tt.give.Validate(), tt.field, tt.code)
		})
	}
}

func TestSignsAndReceiptsAreValidated(t *testing.T) {
	t.Parallel()
	const chat = "5215550000001@s.whatsapp.net"
	for _, tt := range []struct {
		name  string
		give  tasks.Payload
		field string
		code  string
	}{
		{"a receipt", tasks.ReadMessage{ID: "m1"}, "", ""},
		{"a receipt of nothing", tasks.ReadMessage{}, "id", "missing_id"},
		{"a sign", tasks.ShowTyping{Instance: "sales", Chat: chat, State: "recording", ForMS: 25_000}, "", ""},
		{"an end", tasks.ShowTyping{Instance: "sales", Chat: chat, State: "paused"}, "", ""},
		{"no instance", tasks.ShowTyping{Chat: chat, State: "paused"}, "instance", "invalid_instance"},
		{"a number", tasks.ShowTyping{Instance: "sales", Chat: "+5215550000001", State: "paused"}, "chat", "invalid_jid"},
		{"an unknown state", tasks.ShowTyping{Instance: "sales", Chat: chat, State: "available"}, "state", "invalid_state"},
		{"too long", tasks.ShowTyping{Instance: "sales", Chat: chat, State: "composing", ForMS: 25_001}, "for_ms", "invalid_duration"},
		{"less than nothing", tasks.ShowTyping{Instance: "sales", Chat: chat, State: "composing", ForMS: -1}, "for_ms", "invalid_duration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkInvalid(t, tt.give.Validate(), tt.field, tt.code)
		})
	}
}

func TestASignIsLateAfterSomeSeconds(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]bool{-time.Hour: false, 0: false, 5 * time.Second: false, 6 * time.Second: true, time.Hour: true} {
		if got := (tasks.ShowTyping{Asked: asked}).Late(asked.Add(after)); got != want {
			t.Errorf("after %s: late = %v, want %v", after, got, want)
		}
	}
}

// A field's reason may be shown to anyone; what the field holds may not.
func TestAnInvalidErrorNeverRepeatsWhatWasGiven(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, m := range []tasks.SendMessage{
		{Instance: secret + "/", To: "+5215550000001", Text: "a"},
		{Instance: "a", To: secret, Text: "a"},
		{Instance: "a", To: secret + "!@g.us", Text: "a"},
		{Instance: "a", To: "+5215550000001", Text: secret + "\x00"},
		{Instance: "a", To: "+5215550000001", Text: "a", Priority: secret},
		{Instance: "a", To: "+5215550000001", Text: "a", Key: secret + "\x00"},
		{Instance: "a", To: "+5215550000001", Text: "a", Metadata: map[string]any{secret: "\x00"}},
	} {
		err := m.Validate()
		if err == nil {
			t.Fatalf("%+v is valid", m)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats what was given: %v", err)
		}
	}
}

func TestARecipientBecomesAChat(t *testing.T) {
	t.Parallel()
	tests := []struct{ give, want string }{ // want is empty when it cannot be one
		{"+5215550000001", "5215550000001@s.whatsapp.net"},
		{"5215550000001", "5215550000001@s.whatsapp.net"},
		{"+52 1 (555) 000-0001", "5215550000001@s.whatsapp.net"},
		{"+52.1.555.000.0001", "5215550000001@s.whatsapp.net"},
		{"1234567", "1234567@s.whatsapp.net"},
		{"123456789012345", "123456789012345@s.whatsapp.net"},
		{"123456", ""},
		{"1234567890123456", ""},
		{"0521555000001", ""},
		{"++5215550000001", ""},
		{"+52155500000a1", ""},
		{"٥٢١٥٥٥٠٠٠٠٠٠١", ""},
		{"", ""},
		{"+", ""},
		{"5215550000001@s.whatsapp.net", "5215550000001@s.whatsapp.net"},
		{"5215550000001@S.WHATSAPP.NET", ""},
		{"5215550000001:12@s.whatsapp.net", ""},
		{"5215550000001@c.us", ""},
		{"@s.whatsapp.net", ""},
		{"12345678901234567890@lid", "12345678901234567890@lid"},
		{"123456789012345678901@lid", ""},
		{"120363041234567890@g.us", "120363041234567890@g.us"},
		{"5215550000001-1600000000@g.us", "5215550000001-1600000000@g.us"},
		{"5215550000001-1600000000-1@g.us", ""},
		{"Y2FwaV9ncm91cDo=@g.us", "Y2FwaV9ncm91cDo=@g.us"},
		{"MX.13491208655302741918@bsuid", "MX.13491208655302741918@bsuid"},
		{"MX 1@bsuid", ""},
		{"-1600000000@g.us", ""},
		{"1600000000-@g.us", ""},
		{"status@broadcast", ""},
		{"5215550000001@s.whatsapp.net@g.us", ""},
		{"5215550000001\n@s.whatsapp.net", ""},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			t.Parallel()
			got, err := tasks.ChatOf(tt.give)
			if got != tt.want {
				t.Errorf("ChatOf = %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.want != "") {
				t.Errorf("error = %v", err)
			}
			if err != nil && !errors.Is(err, tasks.ErrInvalid) {
				t.Errorf("error = %v, want one that matches ErrInvalid", err)
			}
		})
	}
}

func FuzzChatOf(f *testing.F) {
	for _, seed := range []string{"+5215550000001", "1-2@g.us", "12345@lid", "a@b@c", "+52 (1) 555.000-0001", "\x00", "5215550000001@s.whatsapp.net"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		jid, err := tasks.ChatOf(to)
		if err != nil {
			if jid != "" {
				t.Errorf("ChatOf(%q) = %q with the error %v", to, jid, err)
			}
			return
		}
		if strings.Trim(jid, "0123456789-@.abcdefghijklmnopqrstuvwxyz") != "" || len(jid) > 64 {
			t.Errorf("ChatOf(%q) = %q, which is not safe everywhere", to, jid)
		}
		if again, err := tasks.ChatOf(jid); again != jid || err != nil {
			t.Errorf("ChatOf(ChatOf(%q)) = %q, %v, want %q", to, again, err, jid)
		}
	})
}
