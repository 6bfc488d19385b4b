package cloud_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
)

// sent returns the body that a message becomes.
func sent(t *testing.T, m gateway.Outgoing) string {
	t.Helper()
	var body []byte
	got := send(t, m, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		answers(200, `{"messages":[{"id":"wamid.1"}]}`)(w, r)
	})
	if got.Outcome != gateway.Accepted {
		t.Fatalf("not accepted: %+v", got)
	}
	return string(body)
}

func TestSendSaysEveryContentInGraphsWords(t *testing.T) {
	t.Parallel()
	const to = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"5215550001404",`
	media := func(m gateway.Media) *gateway.Content { return &gateway.Content{Media: &m} }
	tests := []struct {
		name string
		give gateway.Outgoing // to hello's recipient unless it says otherwise
		want string
	}{
		{"text", gateway.Outgoing{Type: "text", Text: "¿a?", ID: "0190"}, to + `"type":"text","biz_opaque_callback_data":"0190","text":{"body":"¿a?"}}`},
		{"reply", gateway.Outgoing{Type: "text", Text: "a", QuotedID: "wamid.Q"}, to + `"type":"text","context":{"message_id":"wamid.Q"},"text":{"body":"a"}}`},
		{"to a group", gateway.Outgoing{To: "Y2FwaV9ncm91cDox@g.us", Type: "text", Text: "a"}, `{"messaging_product":"whatsapp","recipient_type":"group","to":"Y2FwaV9ncm91cDox","type":"text","text":{"body":"a"}}`},
		{"to a user id", gateway.Outgoing{To: "MX.134@bsuid", Type: "text", Text: "a"}, `{"messaging_product":"whatsapp","recipient_type":"individual","recipient":"MX.134","type":"text","text":{"body":"a"}}`},
		{"image by link", gateway.Outgoing{Type: "image", Content: media(gateway.Media{URL: "https://x.invalid/a?b=1&c", Caption: "pie"})}, to + `"type":"image","image":{"link":"https://x.invalid/a?b=1\u0026c","caption":"pie"}}`},
		{"image by id", gateway.Outgoing{Type: "image", Text: "pie", Content: media(gateway.Media{GatewayID: "9"})}, to + `"type":"image","image":{"id":"9","caption":"pie"}}`},
		{"video", gateway.Outgoing{Type: "video", Content: media(gateway.Media{GatewayID: "9", FileName: "a.mp4"})}, to + `"type":"video","video":{"id":"9"}}`},
		{"audio", gateway.Outgoing{Type: "audio", Content: media(gateway.Media{GatewayID: "9"})}, to + `"type":"audio","audio":{"id":"9"}}`},
		{"voice", gateway.Outgoing{Type: "voice", Content: media(gateway.Media{GatewayID: "9"})}, to + `"type":"audio","audio":{"id":"9","voice":true}}`},
		{"document", gateway.Outgoing{Type: "document", Content: media(gateway.Media{GatewayID: "9", FileName: "a.pdf"})}, to + `"type":"document","document":{"id":"9","filename":"a.pdf"}}`},
		{"sticker", gateway.Outgoing{Type: "sticker", Content: media(gateway.Media{GatewayID: "9"})}, to + `"type":"sticker","sticker":{"id":"9"}}`},
		{"location", gateway.Outgoing{Type: "location", Content: &gateway.Content{Location: &gateway.Location{Longitude: -99.5, Name: "a"}}}, to + `"type":"location","location":{"latitude":0,"longitude":-99.5,"name":"a"}}`},
		{
			"contacts",
			gateway.Outgoing{Type: "contacts", Content: &gateway.Content{Contacts: []gateway.Card{{Name: "Ana", Phones: []string{"+52155", "55 1"}, Emails: []string{"a@b.c"}}}}},
			to + `"type":"contacts","contacts":[{"name":{"formatted_name":"Ana","first_name":"Ana"},"phones":[{"phone":"+52155","wa_id":"52155"},{"phone":"55 1"}],"emails":[{"email":"a@b.c"}]}]}`,
		},
		{"reaction", gateway.Outgoing{Type: "reaction", QuotedID: "wamid.Q", Content: &gateway.Content{Reaction: &gateway.Reaction{To: "wamid.Q", Emoji: "👍"}}}, to + `"type":"reaction","reaction":{"message_id":"wamid.Q","emoji":"👍"}}`},
		{"reaction taken back", gateway.Outgoing{Type: "reaction", Content: &gateway.Content{Reaction: &gateway.Reaction{To: "wamid.Q"}}}, to + `"type":"reaction","reaction":{"message_id":"wamid.Q","emoji":""}}`},
		{
			"buttons",
			gateway.Outgoing{Type: "interactive", Text: "b", Content: &gateway.Content{Interactive: &gateway.Interactive{Kind: "buttons", Header: "h", Footer: "f", Buttons: []gateway.Button{{ID: "1", Title: "A"}, {ID: "2", Title: "B"}}}}},
			to + `"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"h"},"body":{"text":"b"},"footer":{"text":"f"},"action":{"buttons":[{"type":"reply","reply":{"id":"1","title":"A"}},{"type":"reply","reply":{"id":"2","title":"B"}}]}}}`,
		},
		{
			"list",
			gateway.Outgoing{Type: "interactive", Content: &gateway.Content{Interactive: &gateway.Interactive{Kind: "list", Body: "b", Button: "Ver", Sections: []gateway.Section{{Title: "s", Rows: []gateway.Row{{ID: "1", Title: "A", Description: "d"}}}}}}},
			to + `"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"Ver","sections":[{"title":"s","rows":[{"id":"1","title":"A","description":"d"}]}]}}}`,
		},
		{"template", gateway.Outgoing{Type: "template", Content: &gateway.Content{Template: json.RawMessage(`{"name":"x","language":{"code":"es"}}`)}}, to + `"type":"template","template":{"name":"x","language":{"code":"es"}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.give.To == "" {
				tt.give.To = hello().To
			}
			if diff := cmp.Diff(tt.want, sent(t, tt.give)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be said is refused before Graph is asked, and the reason says why.
func TestSendRefusesWhatCannotBeSaid(t *testing.T) {
	t.Parallel()
	interactive := func(i gateway.Interactive) gateway.Outgoing {
		return gateway.Outgoing{Type: "interactive", Text: "b", Content: &gateway.Content{Interactive: &i}}
	}
	media := func(kind string, m gateway.Media) gateway.Outgoing {
		return gateway.Outgoing{Type: kind, Content: &gateway.Content{Media: &m}}
	}
	to := func(jid string) gateway.Outgoing { return gateway.Outgoing{To: jid, Type: "text", Text: "a"} }
	button := gateway.Button{ID: "1", Title: "A"}
	rows := func(n int) []gateway.Row {
		all := make([]gateway.Row, n)
		for i := range all {
			all[i] = gateway.Row{ID: "1", Title: "A"}
		}
		return all
	}
	tests := []struct {
		name string
		give gateway.Outgoing
		code string
		why  string // part of the reason
	}{
		{"a number without a server", to("5215550001404"), "invalid_recipient", ""},
		{"a LID", to("900@lid"), "invalid_recipient", ""},
		{"a broadcast", to("status@broadcast"), "invalid_recipient", ""},
		{"letters", to("abc@s.whatsapp.net"), "invalid_recipient", ""},
		{"a plus", to("+521@s.whatsapp.net"), "invalid_recipient", ""},
		{"a folder", to("../x@g.us"), "invalid_recipient", ""},
		{"a device", to("521:3@s.whatsapp.net"), "invalid_recipient", ""},
		{"two servers", to("1@g.us@g.us"), "invalid_recipient", ""},
		{"nobody", to("@bsuid"), "invalid_recipient", ""},
		{"a poll", gateway.Outgoing{Type: "poll", Content: &gateway.Content{Poll: &gateway.Poll{}}}, "content_unsupported", "cannot be sent"},
		{"unknown", gateway.Outgoing{Type: "unknown"}, "content_unsupported", ""},
		{"no type", gateway.Outgoing{}, "content_unsupported", ""},
		{"no text", gateway.Outgoing{Type: "text"}, "invalid_content", "no text"},
		{"no content", gateway.Outgoing{Type: "image", Text: "x"}, "invalid_content", "no file"},
		{"an empty file", media("image", gateway.Media{}), "invalid_content", "neither a URL nor bytes"},
		{"two files", media("image", gateway.Media{URL: "https://x.invalid", Base64: "AA=="}), "invalid_content", "both"},
		{"no HTTP", media("image", gateway.Media{URL: "file:///etc/passwd"}), "invalid_content", "one of HTTP"},
		{"no host", media("image", gateway.Media{URL: "https:///a"}), "invalid_content", "one of HTTP"},
		{"no base64", media("image", gateway.Media{Base64: "data:;base64,AA=="}), "invalid_content", "valid base64"},
		{"no MIME type", media("image", gateway.Media{Base64: "AA==", MIMEType: "x y\r\nz: 1"}), "invalid_content", "MIME type"},
		{"a caption on audio", media("voice", gateway.Media{GatewayID: "9", Caption: "x"}), "invalid_content", "no caption"},
		{"a caption on a sticker", media("sticker", gateway.Media{GatewayID: "9", Caption: "x"}), "invalid_content", "no caption"},
		{"no location", gateway.Outgoing{Type: "location"}, "invalid_content", "no location"},
		{"no contacts", gateway.Outgoing{Type: "contacts"}, "invalid_content", "no contacts"},
		{"a nameless contact", gateway.Outgoing{Type: "contacts", Content: &gateway.Content{Contacts: []gateway.Card{{VCard: "BEGIN"}}}}, "invalid_content", "no name"},
		{"a reaction to nothing", gateway.Outgoing{Type: "reaction", Content: &gateway.Content{Reaction: &gateway.Reaction{}}}, "invalid_content", "to which message"},
		{"no choice", gateway.Outgoing{Type: "interactive", Text: "b"}, "invalid_content", "neither buttons nor a list"},
		{"no body", gateway.Outgoing{Type: "interactive", Content: &gateway.Content{Interactive: &gateway.Interactive{Kind: "buttons", Buttons: []gateway.Button{button}}}}, "invalid_content", "need a body"},
		{"no buttons", interactive(gateway.Interactive{Kind: "buttons"}), "invalid_content", "1 to 3 buttons, not 0"},
		{"too many buttons", interactive(gateway.Interactive{Kind: "buttons", Buttons: []gateway.Button{button, button, button, button}}), "invalid_content", "1 to 3 buttons, not 4"},
		{"a button without a title", interactive(gateway.Interactive{Kind: "buttons", Buttons: []gateway.Button{{ID: "1"}}}), "invalid_content", "no title"},
		{"no opener", interactive(gateway.Interactive{Kind: "list", Sections: []gateway.Section{{Rows: rows(1)}}}), "invalid_content", "opens it"},
		{"no rows", interactive(gateway.Interactive{Kind: "list", Button: "x"}), "invalid_content", "1 to 10 rows in a list, not 0"},
		{"an empty section", interactive(gateway.Interactive{Kind: "list", Button: "x", Sections: []gateway.Section{{}}}), "invalid_content", "no rows"},
		{"too many rows", interactive(gateway.Interactive{Kind: "list", Button: "x", Sections: []gateway.Section{{Title: "a", Rows: rows(6)}, {Title: "b", Rows: rows(5)}}}), "invalid_content", "not 11"},
		{"a section without a title", interactive(gateway.Interactive{Kind: "list", Button: "x", Sections: []gateway.Section{{Rows: rows(1)}, {Rows: rows(1)}}}), "invalid_content", "no title"},
		{"a row without an id", interactive(gateway.Interactive{Kind: "list", Button: "x", Sections: []gateway.Section{{Rows: []gateway.Row{{Title: "a"}}}}}), "invalid_content", "no id"},
		{"a choice of the future", interactive(gateway.Interactive{Kind: "carousel"}), "content_unsupported", ""},
		{"no template", gateway.Outgoing{Type: "template"}, "invalid_content", "not a JSON object"},
		{"a template that is none", gateway.Outgoing{Type: "template", Content: &gateway.Content{Template: json.RawMessage(`{"a":`)}}, "invalid_content", "not a JSON object"},
		{"a template that is a list", gateway.Outgoing{Type: "template", Content: &gateway.Content{Template: json.RawMessage(`[]`)}}, "invalid_content", "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.give.To == "" {
				tt.give.To = hello().To
			}
			got := send(t, tt.give, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
			if got.Outcome != gateway.Permanent || got.Code != tt.code || !strings.Contains(got.Reason, tt.why) {
				t.Errorf("%+v, want permanent %s for %q", got, tt.code, tt.why)
			}
			mustBeWellFormed(t, got)
		})
	}
}

func TestSendUploadsWhatComesAlong(t *testing.T) {
	t.Parallel()
	form := map[string]string{}
	var steps []string
	m := gateway.Outgoing{To: hello().To, Type: "document", Content: &gateway.Content{Media: &gateway.Media{
		Base64: base64.StdEncoding.EncodeToString([]byte("%PDF-1.7")), MIMEType: "application/pdf", FileName: "a\"\r\n.pdf",
	}}}
	got := send(t, m, func(w http.ResponseWriter, r *http.Request) {
		steps = append(steps, r.Method+" "+r.RequestURI+" "+r.Header.Get("Authorization"))
		if !strings.HasSuffix(r.RequestURI, "/media") {
			body, _ := io.ReadAll(r.Body)
			form["message"] = string(body)
			answers(200, `{"messages":[{"id":"wamid.1"}]}`)(w, r)
			return
		}
		_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			t.Error(err)
		}
		for parts := multipart.NewReader(r.Body, parameters["boundary"]); ; {
			part, err := parts.NextPart()
			if err != nil {
				break
			}
			content, _ := io.ReadAll(part)
			form[part.FormName()+" "+part.FileName()+" "+part.Header.Get("Content-Type")] = string(content)
		}
		answers(200, `{"id":"9100"}`)(w, r)
	})
	if got.Outcome != gateway.Accepted {
		t.Errorf("%+v, want it accepted", got)
	}
	want := map[string]string{
		"messaging_product  ":       "whatsapp",
		"type  ":                    "application/pdf",
		"file file application/pdf": "%PDF-1.7",
		"message":                   `{"messaging_product":"whatsapp","recipient_type":"individual","to":"5215550001404","type":"document","document":{"id":"9100","filename":"a\"\r\n.pdf"}}`,
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	order := []string{
		"POST /v23.0/100000000000001/media Bearer " + credential,
		"POST /v23.0/100000000000001/messages Bearer " + credential,
	}
	if diff := cmp.Diff(order, steps); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A file that could not be uploaded leaves no doubt: no message was sent.
func TestSendWithoutItsFileIsNotSent(t *testing.T) {
	t.Parallel()
	m := gateway.Outgoing{To: hello().To, Type: "image", Content: &gateway.Content{Media: &gateway.Media{Base64: "AA=="}}}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"a server error", answers(502, `<html>`), "retry gateway_error"},
		{"a success without an id", answers(200, `{}`), "retry no_media_id"},
		{"an id of a wrong type", answers(200, `{"id":7}`), "retry no_media_id"},
		{"a broken connection", hijack(t, func(net.Conn) {}), "retry connection_lost"},
		{"an invalid file", answers(400, `{"error":{"type":"x","code":100}}`), "permanent graph_100"},
		{"an expired credential", answers(401, `{"error":{"type":"x","code":190}}`), "pause graph_190"},
		{"too fast", answers(400, `{"error":{"type":"x","code":4}}`), "retry graph_4 instance slow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, m, func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/media") {
					t.Error("the message was sent without its file")
				}
				tt.handler(w, r)
			})
			if diff := cmp.Diff(tt.want, verdict(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			mustBeWellFormed(t, got)
		})
	}
}
