package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	wall "github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

const somebody = "5215550001001@s.whatsapp.net"

// understood decodes a webhook as MsgOrch does.
func understood(t *testing.T, h webhook) wall.Update {
	t.Helper()
	var d evolution.Decoder
	e, err := d.Open(h.body)
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.Decode(e.Event, e.Body)
	if err != nil {
		t.Fatalf("%v in %s", err, h.body)
	}
	return u
}

// What goes out by any call comes back in its webhook and in the history, as it
// was given.
func TestEveryContentIsReportedAsItWasSent(t *testing.T) {
	t.Parallel()
	content := func(kind string, c wall.Content) wall.Outgoing { return wall.Outgoing{Type: kind, Content: &c} }
	const sum = "J3CJ2RwL308uaGK6fkoHYFEZQx9dE/cm3TUrBvGyBqk=" // of "bytes"
	tests := []struct {
		name string
		give wall.Outgoing
		text string
		want string
	}{
		{"image", wall.Outgoing{Type: "image", Text: "c", Content: &wall.Content{Media: &wall.Media{Base64: "Ynl0ZXM=", MIMEType: "image/png"}}}, "c", `{"media":{"kind":"image","mime_type":"image/png","bytes":5,"sha256":"` + sum + `"}}`},
		{"document", content("document", wall.Content{Media: &wall.Media{Base64: "Ynl0ZXM=", MIMEType: "a/b", FileName: "f.pdf"}}), "", `{"media":{"kind":"document","mime_type":"a/b","file_name":"f.pdf","bytes":5,"sha256":"` + sum + `"}}`},
		{"voice", content("voice", wall.Content{Media: &wall.Media{Base64: "Ynl0ZXM="}}), "", `{"media":{"kind":"voice","mime_type":"audio/ogg; codecs=opus","bytes":5,"seconds":4,"sha256":"` + sum + `"}}`},
		{"sticker", content("sticker", wall.Content{Media: &wall.Media{Base64: "Ynl0ZXM="}}), "", `{"media":{"kind":"sticker","mime_type":"image/webp","bytes":5,"sha256":"` + sum + `"}}`},
		{"location", content("location", wall.Content{Location: &wall.Location{Latitude: 19.5, Longitude: -99, Name: "n", Address: "a"}}), "", `{"location":{"latitude":19.5,"longitude":-99,"name":"n","address":"a"}}`},
		{"reaction", content("reaction", wall.Content{Reaction: &wall.Reaction{To: "A", Emoji: "👍"}}), "👍", `{"reaction":{"to":"A","emoji":"👍"}}`},
		{"poll", content("poll", wall.Content{Poll: &wall.Poll{Name: "q", Options: []string{"a", "b"}}}), "q", `{"poll":{"name":"q","options":["a","b"]}}`},
		{"buttons", content("interactive", wall.Content{Interactive: &wall.Interactive{Kind: "buttons", Header: "h", Body: "b", Footer: "f", Buttons: []wall.Button{{ID: "1", Title: "A"}}}}), "b", `{"interactive":{"kind":"buttons","body":"b","footer":"f","header":"h","buttons":[{"id":"1","title":"A"}]}}`},
		{"list", content("interactive", wall.Content{Interactive: &wall.Interactive{Kind: "list", Body: "b", Button: "o", Sections: []wall.Section{{Title: "s", Rows: []wall.Row{{ID: "1", Title: "A"}}}}}}), "b", `{"interactive":{"kind":"list","body":"b","button":"o","sections":[{"title":"s","rows":[{"id":"1","title":"A"}]}]}}`},
		{"contact", content("contacts", wall.Content{Contacts: []wall.Card{{Name: "Ana", Phones: []string{"+5215550001009"}, Emails: []string{"a@b.mx"}}}}), "", `{"contacts":[{"name":"Ana","phones":["+5215550001009"],"emails":["a@b.mx"],"vcard":"BEGIN:VCARD\nVERSION:3.0\nN:Ana\nFN:Ana\nitem1.TEL;waid=5215550001009:+5215550001009\nitem1.X-ABLabel:Celular\nitem2.EMAIL;type=INTERNET:a@b.mx\nEND:VCARD"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink := newSink(t, nil)
			g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
			g.fault(t, `{"status_before_answer":1,"ack_delay_ms":[600000,600000],"read_delay_ms":[600000,600000]}`)
			tt.give.To = somebody

			a := evolution.NewSender(nil).Send(t.Context(), g.account(), tt.give)

			if a.Outcome != wall.Accepted {
				t.Fatalf("%+v, want accepted", a)
			}
			m := understood(t, sink.take(t, 1)[0]).Messages[0]
			if m.ID != a.MessageID || m.Chat != somebody || !m.Echo || m.Type != tt.give.Type || m.Text != tt.text {
				t.Errorf("reported %+v", m)
			}
			if diff := cmp.Diff(tt.want, string(m.Content)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			found, err := evolution.NewSender(nil).Find(t.Context(), g.account(), wall.Sought{To: somebody, Type: tt.give.Type, Text: tt.text})
			if diff := cmp.Diff([]string{a.MessageID}, found); err != nil || diff != "" {
				t.Errorf("%v, found (-want +got):\n%s", err, diff)
			}
		})
	}
}

func (g *gateway) account() wall.Account {
	return wall.Account{Instance: "sales", BaseURL: g.url, Credential: "k"}
}

func TestAFileThatWasSentCanBeFetched(t *testing.T) {
	t.Parallel()
	g, s := newGateway(t, sandbox.Options{}), evolution.NewSender(nil)
	file := func(m wall.Media) string {
		return s.Send(t.Context(), g.account(), wall.Outgoing{To: somebody, Type: "image", Content: &wall.Content{Media: &m}}).MessageID
	}
	if got, want := g.fetch(t, file(wall.Media{Base64: "Ynl0ZXM=", MIMEType: "image/png"})), "bytes image/png"; got != want {
		t.Errorf("fetched %q, want %q", got, want)
	}
	for id, want := range map[string]string{
		file(wall.Media{URL: "https://x.invalid/a"}):                                                     "invalid_request",
		s.Send(t.Context(), g.account(), wall.Outgoing{To: somebody, Type: "text", Text: "x"}).MessageID: "media_gone",
		"NOBODY": "media_gone",
	} {
		if got := g.fetch(t, id); !strings.Contains(got, want) {
			t.Errorf("fetched %q, want %s", got, want)
		}
	}
	g.fault(t, `{"closed_instances":["sales"]}`)
	if got := g.fetch(t, "NOBODY"); !strings.Contains(got, "connection_closed") {
		t.Errorf("fetched %q from a closed instance", got)
	}
}

// fetch returns the content and type of a message's file, or what is wrong.
func (g *gateway) fetch(t *testing.T, id string) string {
	t.Helper()
	file, contentType, size, err := evolution.NewSender(nil).OpenMedia(t.Context(), g.account(), id)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil || int64(len(content)) != size {
		t.Errorf("%d bytes, want %d; %v", len(content), size, err)
	}
	return string(content) + " " + contentType
}

func TestEveryKindSuffersTheSameFaults(t *testing.T) {
	t.Parallel()
	for faults, want := range map[string]sandbox.Outcome{
		`{"error_500":1}`: sandbox.OutcomeFault500, `{"no_key_id":1}`: sandbox.OutcomeNoKey, `{"reset":1}`: sandbox.OutcomeReset,
		`{"closed_instances":["sales"]}`: sandbox.OutcomeClosed, `{}`: sandbox.OutcomeAccepted,
	} {
		g := newGateway(t, sandbox.Options{})
		g.fault(t, faults)
		_, _ = g.try(t, http.MethodPost, "/message/sendLocation/sales", `{"number":"5215550001001","latitude":1,"longitude":2,"name":"n","address":"a"}`)
		log := g.Sent()
		if len(log) != 1 || log[0].Outcome != want || log[0].Type != "locationMessage" || log[0].Call != "sendLocation" {
			t.Errorf("%s: %+v, want %s", faults, log, want)
		}
	}
}

func TestEvolutionsSchemasRefuse(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for _, tt := range [][3]string{
		{"sendMedia", `{"number":"1"}`, `requires property \"mediatype\"`},
		{"sendMedia", `{"number":"1","mediatype":"hologram"}`, `enum values`},
		{"sendMedia", `{"number":"1","mediatype":"image","media":"%"}`, `Owned media`},
		{"sendMedia", `{"number":7,"mediatype":"image"}`, `number`},
		{"sendMedia", `[]`, `array`},
		{"sendWhatsAppAudio", `{"number":"1"}`, `Owned media`},
		{"sendSticker", `{}`, `requires property \"number\"`},
		{"sendLocation", `{"number":"1","latitude":1,"longitude":2,"name":"n"}`, `requires property \"address\"`},
		{"sendContact", `{"number":"1","contact":[]}`, `minimum length`},
		{"sendContact", `{"number":"1","contact":[{"fullName":"A","phoneNumber":"1"}]}`, `too short`},
		{"sendReaction", `{"key":{"id":""},"reaction":""}`, `cannot be empty`},
		{"sendPoll", `{"number":"1","name":"q","selectableCount":1,"values":["a"]}`, `minimum length of 2`},
		{"sendButtons", `{"number":"1"}`, `At least one button`},
		{"sendButtons", `{"number":"1","buttons":[{},{},{},{}]}`, `Maximum of 3`},
		{"sendList", `{"number":"1","title":"t","buttonText":"b","sections":[]}`, `requires property \"footerText\"`},
		{"sendList", `{"number":"1","title":"t","buttonText":"b","footerText":"","sections":[]}`, `minimum length of 1`},
	} {
		got := g.call(t, http.MethodPost, "/message/"+tt[0]+"/sales", tt[1])
		if got.status != http.StatusBadRequest || !strings.Contains(string(got.body), tt[2]) {
			t.Errorf("%s %s: %d %s, want 400 with %s", tt[0], tt[1], got.status, got.body, tt[2])
		}
	}
}

func TestSomebodySendsAnything(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	g.call(t, http.MethodPost, "/sandbox/inbound",
		`{"instance":"sales","from":"5215550001001","id":"IN1","message":{"imageMessage":{"caption":"c","mimetype":"image/png"},"base64":"Ynl0ZXM="}}`)
	m := understood(t, sink.take(t, 1)[0]).Messages[0]
	if m.ID != "IN1" || m.Type != "image" || m.Text != "c" || m.Media.Base64 != "Ynl0ZXM=" {
		t.Errorf("reported %+v", m)
	}
	if got, want := g.fetch(t, "IN1"), "bytes image/png"; got != want {
		t.Errorf("fetched %q, want %q", got, want)
	}
	if log := g.Received(); len(log) != 1 || log[0].Type != "imageMessage" || !json.Valid(log[0].Message) {
		t.Errorf("log %+v", log)
	}
}

func TestSomebodyThinksBetterOfIt(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	a := g.call(t, http.MethodPost, "/sandbox/inbound", `{"instance":"sales","from":"5215550001001","edits":"IN1","text":"b","timestamp":1763880000}`)
	if string(a.body) != `{"ids":["IN1"]}` {
		t.Errorf("answered %s", a.body)
	}
	h := sink.take(t, 1)[0]
	if diff := cmp.Diff(shape(t, example(t, "messages.edited.edit")), shape(t, h.body)); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}
	if e := understood(t, h).Edits; len(e) != 1 || e[0].MessageID != "IN1" || e[0].Text != "b" || e[0].At.Unix() != 1763880000 {
		t.Errorf("reported %+v", e)
	}

	g.call(t, http.MethodPost, "/sandbox/inbound", `{"instance":"sales","from":"5215550001001","deletes":"IN1"}`)
	events := map[string]bool{}
	for _, h := range sink.take(t, 2) {
		events[h.text(t, "event")] = true
		if d := understood(t, h).Deletions; len(d) != 1 || d[0].MessageID != "IN1" {
			t.Errorf("reported %+v in %s", d, h.body)
		}
	}
	if !events["messages.edited"] || !events["messages.delete"] {
		t.Errorf("told by %v", events)
	}
	if log := g.Received(); len(log) != 0 {
		t.Errorf("log %+v, want nothing new", log)
	}
}

func TestABadContentNamesItsField(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for body, field := range map[string]string{
		`{"instance":"sales","from":"1","message":7}`:                                          "message",
		`{"instance":"sales","from":"1","message":{"a":1}}`:                                    "message",
		`{"instance":"sales","from":"1","text":"x","message":{"conversation":"x"}}`:            "message",
		`{"instance":"sales","from":"1","edits":"A"}`:                                          "text",
		`{"instance":"sales","from":"1","deletes":"A","text":"x"}`:                             "deletes",
		`{"instance":"sales","from":"1","deletes":"A","edits":"A"}`:                            "deletes",
		`{"instance":"sales","from":"1","deletes":"A","count":2}`:                              "count",
		`{"instance":"sales","from":"1","edits":"A","message":{"conversation":"x"},"count":2}`: "count",
	} {
		a := g.call(t, http.MethodPost, "/sandbox/inbound", body)
		if a.status != http.StatusBadRequest || !strings.HasPrefix(text(t, a.body, "error"), field+":") {
			t.Errorf("%s: got %d %s, want 400 about %s", body, a.status, a.body, field)
		}
	}
}
