package evolution_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

func TestMarkReadNamesTheMessage(t *testing.T) {
	t.Parallel()
	var asked string
	a := at(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.URL.Path + " " + string(body)
		says(201, `{"message":"Read messages","read":"success"}`)(w, r)
	})
	if err := evolution.NewSender(nil).MarkRead(t.Context(), a, "521:2@c.us", "3EB0IN1"); err != nil {
		t.Fatal(err)
	}
	const want = `/chat/markMessageAsRead/tienda demo {"readMessages":[{"remoteJid":"521@s.whatsapp.net","fromMe":false,"id":"3EB0IN1"}]}`
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestMarkReadSaysWhyNot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer   http.HandlerFunc
		chat, id string
		kind     fault.Kind
	}{
		"no chat":    {says(201, `{}`), "521", "A", fault.Invalid},
		"no id":      {says(201, `{}`), "1@c.us", "", fault.Invalid},
		"no number":  {says(201, `{}`), "1@lid", "A", fault.Invalid},
		"validation": {says(400, `{"response":{"message":[["instance requires"]]}}`), "1@c.us", "A", fault.Invalid},
		"cloud":      {says(400, `{"response":{"message":"Method not available on WhatsApp Business API"}}`), "1@c.us", "A", fault.Invalid},
		"closed":     {says(500, `{"response":{"message":"Connection Closed"}}`), "1@c.us", "A", fault.Unavailable},
		"an error":   {says(200, `{"error":true,"message":"x"}`), "1@c.us", "A", fault.Unavailable},
		"key":        {says(401, `{}`), "1@c.us", "A", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := evolution.NewSender(nil).MarkRead(t.Context(), at(t, tt.answer), tt.chat, tt.id)
			if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != tt.kind {
				t.Errorf("%v, want kind %d", err, tt.kind)
			}
		})
	}
}

func TestShowTypingSaysWhomWhatAndHowLong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		give gateway.Typing
		want string // the body; empty: nothing is asked
		code string
	}{
		{gateway.Typing{Chat: "521@s.whatsapp.net", State: gateway.TypingComposing, For: 9 * time.Second}, `{"number":"521","presence":"composing","delay":9000}`, ""},
		{gateway.Typing{Chat: "7@lid", State: gateway.TypingRecording, For: time.Millisecond}, `{"number":"7@lid","presence":"recording","delay":1}`, ""},
		{gateway.Typing{Chat: "1203@g.us", State: gateway.TypingPaused, For: time.Second}, `{"number":"1203@g.us","presence":"paused","delay":0}`, ""},
		{gateway.Typing{Chat: "521", State: gateway.TypingComposing}, "", "invalid_recipient"},
		{gateway.Typing{Chat: "1@newsletter", State: gateway.TypingComposing}, "", "invalid_recipient"},
	} {
		var asked, code string
		a := at(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if asked = string(body); r.URL.Path != "/chat/sendPresence/tienda demo" {
				t.Errorf("asked %s", r.URL.Path)
			}
			says(201, `{"presence":"composing"}`)(w, r)
		})
		read, err := evolution.NewSender(nil).ShowTyping(t.Context(), a, tt.give)
		if f := fault.Of(err); f != nil {
			code = f.Code
		}
		if read || asked != tt.want || code != tt.code {
			t.Errorf("%+v: asked %s, %v, read %v", tt.give, asked, err, read)
		}
	}
}
