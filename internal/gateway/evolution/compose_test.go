package evolution_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
)

func TestSendSaysEveryContentInEvolutionsWords(t *testing.T) {
	t.Parallel()
	media := func(kind string, m gateway.Media) gateway.Outgoing {
		return gateway.Outgoing{Type: kind, Content: &gateway.Content{Media: &m}}
	}
	content := func(kind string, c gateway.Content) gateway.Outgoing {
		return gateway.Outgoing{Type: kind, Content: &c}
	}
	const url = "https://files.invalid/a"
	tests := []struct {
		name string
		give gateway.Outgoing // to hello's recipient unless it says otherwise
		call string
		want string // without the number
	}{
		{"image by URL", media("image", gateway.Media{URL: url, Caption: "c"}), "sendMedia", `"mediatype":"image","media":"https://files.invalid/a","caption":"c"`},
		{"image of its own", media("image", gateway.Media{Base64: "iVBORw0KGgo="}), "sendMedia", `"mediatype":"image","media":"iVBORw0KGgo=","mimetype":"image/png"`},
		{"video", media("video", gateway.Media{URL: url, MIMEType: "video/mp4", FileName: "a.mp4"}), "sendMedia", `"mediatype":"video","media":"https://files.invalid/a","mimetype":"video/mp4","fileName":"a.mp4"`},
		{"document", media("document", gateway.Media{Base64: "JVBERg==", MIMEType: "application/pdf"}), "sendMedia", `"mediatype":"document","media":"JVBERg==","mimetype":"application/pdf","fileName":"document"`},
		{"audio", media("audio", gateway.Media{URL: url}), "sendMedia", `"mediatype":"audio","media":"https://files.invalid/a"`},
		{"voice", media("voice", gateway.Media{URL: url}), "sendWhatsAppAudio", `"audio":"https://files.invalid/a"`},
		{"sticker", media("sticker", gateway.Media{Base64: "UklGRg=="}), "sendSticker", `"sticker":"UklGRg=="`},
		{"location", content("location", gateway.Content{Location: &gateway.Location{Latitude: 19.5, Longitude: -99, Name: "n", Address: "a"}}), "sendLocation", `"latitude":19.5,"longitude":-99,"name":"n","address":"a"`},
		{"location without words", content("location", gateway.Content{Location: &gateway.Location{Latitude: 19.5, Longitude: -99}}), "sendLocation", `"latitude":19.5,"longitude":-99,"name":"19.5, -99","address":"19.5, -99"`},
		{"location by its address", content("location", gateway.Content{Location: &gateway.Location{Address: "a"}}), "sendLocation", `"latitude":0,"longitude":0,"name":"a","address":"a"`},
		{"contacts", content("contacts", gateway.Content{Contacts: []gateway.Card{{Name: "Ana", Phones: []string{"+5215550001001", "555 0001"}, Emails: []string{"a@b.mx", "c"}}}}), "sendContact", `"contact":[{"fullName":"Ana","wuid":"5215550001001","phoneNumber":"+5215550001001","email":"a@b.mx"},{"fullName":"Ana","phoneNumber":"555 0001","email":"a@b.mx"}]`},
		{"a vCard alone", content("contacts", gateway.Content{Contacts: []gateway.Card{{VCard: "FN:Ana\nTEL;waid=5215550001001:1\nEMAIL:a@b.mx"}}}), "sendContact", `"contact":[{"fullName":"Ana","wuid":"5215550001001","phoneNumber":"+5215550001001","email":"a@b.mx"}]`},
		{"poll", content("poll", gateway.Content{Poll: &gateway.Poll{Name: "q", Options: []string{"a", "b"}}}), "sendPoll", `"name":"q","selectableCount":1,"values":["a","b"]`},
		{"buttons", content("interactive", gateway.Content{Interactive: &gateway.Interactive{Kind: "buttons", Header: "h", Body: "b", Footer: "f", Buttons: []gateway.Button{{ID: "1", Title: "A"}}}}), "sendButtons", `"title":"h","description":"b","footer":"f","buttons":[{"type":"reply","displayText":"A","id":"1"}]`},
		{"list", content("interactive", gateway.Content{Interactive: &gateway.Interactive{Kind: "list", Body: "b", Button: "o", Sections: []gateway.Section{{Rows: []gateway.Row{{ID: "1", Title: "A"}}}}}}), "sendList", `"title":"b","footerText":"","buttonText":"o","sections":[{"title":"","rows":[{"title":"A","rowId":"1"}]}]`},
		{"reply with a file", gateway.Outgoing{Type: "image", Text: "c", QuotedID: "Q", Content: &gateway.Content{Media: &gateway.Media{URL: url}}}, "sendMedia", `"quoted":{"key":{"id":"Q"}},"mediatype":"image","media":"https://files.invalid/a","caption":"c"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.give.To = hello().To
			call, body := sent(t, tt.give)
			if want := `{"number":"5215550001404",` + tt.want + `}`; call != tt.call || body != want {
				t.Errorf("%s %s\nwant %s %s", call, body, tt.call, want)
			}
		})
	}
}

func TestAReactionNamesTheOtherMessage(t *testing.T) {
	t.Parallel()
	for to, jid := range map[string]string{
		"5215550001404:2@C.us": "5215550001404@s.whatsapp.net", "1-2@g.us": "1-2@g.us", "9@lid": "9@lid",
	} {
		for _, ours := range []bool{true, false} {
			call, body := sent(t, gateway.Outgoing{
				To: to, Type: "reaction", Content: &gateway.Content{Reaction: &gateway.Reaction{To: "A", Emoji: "👍", FromMe: ours}},
			})
			want := fmt.Sprintf(`{"key":{"remoteJid":%q,"fromMe":%t,"id":"A"},"reaction":"👍"}`, jid, ours)
			if call != "sendReaction" || body != want {
				t.Errorf("%s %s, want %s", call, body, want)
			}
		}
	}
}

// sent returns the call and the body that a message becomes.
func sent(t *testing.T, m gateway.Outgoing) (call, body string) {
	t.Helper()
	got := send(t, m, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		call, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/message/"), "/")
		body = string(b)
		says(201, `{"key":{"id":"A"}}`)(w, r)
	})
	if got.Outcome != gateway.Accepted {
		t.Errorf("not accepted: %+v", got)
	}
	return call, body
}

// What cannot be said is refused before the gateway is asked, and the reason says
// why.
func TestSendRefusesWhatCannotBeSaid(t *testing.T) {
	t.Parallel()
	content := func(kind string, c gateway.Content) gateway.Outgoing {
		return gateway.Outgoing{Type: kind, Content: &c}
	}
	media := func(kind string, m gateway.Media) gateway.Outgoing { return content(kind, gateway.Content{Media: &m}) }
	poll := func(options ...string) gateway.Outgoing {
		return content("poll", gateway.Content{Poll: &gateway.Poll{Name: "q", Options: options}})
	}
	offer := func(i gateway.Interactive) gateway.Outgoing {
		return gateway.Outgoing{Type: "interactive", Text: "b", Content: &gateway.Content{Interactive: &i}}
	}
	place := func(latitude, longitude float64) gateway.Outgoing {
		return content("location", gateway.Content{Location: &gateway.Location{Latitude: latitude, Longitude: longitude}})
	}
	button, rows := gateway.Button{ID: "1", Title: "A"}, make([]gateway.Row, 11)
	for i := range rows {
		rows[i] = gateway.Row{ID: "1", Title: "A"}
	}
	tests := []struct {
		name string
		give gateway.Outgoing
		code string
		why  string // part of the reason
	}{
		{"a template", content("template", gateway.Content{Template: json.RawMessage(`{}`)}), "content_unsupported", "Cloud API"},
		{"unknown", gateway.Outgoing{Type: "unknown"}, "content_unsupported", "cannot be sent"},
		{"no type", gateway.Outgoing{}, "content_unsupported", ""},
		{"no file", gateway.Outgoing{Type: "image"}, "invalid_content", "no file"},
		{"an empty file", media("image", gateway.Media{GatewayID: "9"}), "invalid_content", "neither a URL nor bytes"},
		{"two files", media("image", gateway.Media{URL: "https://x.invalid", Base64: "AA=="}), "invalid_content", "both"},
		{"no HTTP", media("voice", gateway.Media{URL: "file:///etc/passwd"}), "invalid_content", "one of HTTP"},
		{"no base64", media("sticker", gateway.Media{Base64: "data:;base64,AA=="}), "invalid_content", "valid base64"},
		{"no MIME type", media("image", gateway.Media{Base64: "AA==", MIMEType: "x y\r\n"}), "invalid_content", "MIME type"},
		{"a caption on a voice", media("voice", gateway.Media{Base64: "AA==", Caption: "c"}), "invalid_content", "no caption"},
		{"a caption on a sticker", media("sticker", gateway.Media{Base64: "AA==", Caption: "c"}), "invalid_content", "no caption"},
		{"no location", gateway.Outgoing{Type: "location"}, "invalid_content", "no location"},
		{"beyond a pole", place(91, 0), "invalid_content", "on Earth"},
		{"beyond the date line", place(0, -181), "invalid_content", "on Earth"},
		{"no place at all", place(math.NaN(), 0), "invalid_content", "on Earth"},
		{"no contacts", gateway.Outgoing{Type: "contacts"}, "invalid_content", "no contacts"},
		{"a contact without a phone", content("contacts", gateway.Content{Contacts: []gateway.Card{{Name: "Ana"}}}), "invalid_content", "no phone number"},
		{"a contact without a name", content("contacts", gateway.Content{Contacts: []gateway.Card{{Phones: []string{"1"}}}}), "invalid_content", "no name"},
		{"no reaction", gateway.Outgoing{Type: "reaction"}, "invalid_content", "to which message"},
		{"a reaction to nothing", content("reaction", gateway.Content{Reaction: &gateway.Reaction{Emoji: "x"}}), "invalid_content", "to which message"},
		{"no poll", gateway.Outgoing{Type: "poll"}, "invalid_content", "asks nothing"},
		{"one option", poll("a"), "invalid_content", "2 to 10 options, not 1"},
		{"too many options", poll(make([]string, 11)...), "invalid_content", "not 11"},
		{"an option twice", poll("a", "a"), "invalid_content", "twice"},
		{"an empty option", poll("a", ""), "invalid_content", "empty"},
		{"no choice", gateway.Outgoing{Type: "interactive", Text: "b"}, "invalid_content", "neither buttons nor a list"},
		{"no body", content("interactive", gateway.Content{Interactive: &gateway.Interactive{Kind: "buttons", Header: "h", Buttons: []gateway.Button{button}}}), "invalid_content", "need a body"},
		{"no buttons", offer(gateway.Interactive{Kind: "buttons"}), "invalid_content", "1 to 3 buttons, not 0"},
		{"too many buttons", offer(gateway.Interactive{Kind: "buttons", Buttons: []gateway.Button{button, button, button, button}}), "invalid_content", "not 4"},
		{"a button without an id", offer(gateway.Interactive{Kind: "buttons", Buttons: []gateway.Button{{Title: "A"}}}), "invalid_content", "no id"},
		{"no opener", offer(gateway.Interactive{Kind: "list"}), "invalid_content", "opens it"},
		{"no rows", offer(gateway.Interactive{Kind: "list", Button: "o"}), "invalid_content", "not 0"},
		{"an empty section", offer(gateway.Interactive{Kind: "list", Button: "o", Sections: []gateway.Section{{}}}), "invalid_content", "no rows"},
		{"too many rows", offer(gateway.Interactive{Kind: "list", Button: "o", Sections: []gateway.Section{{Rows: rows}}}), "invalid_content", "not 11"},
		{"sections without titles", offer(gateway.Interactive{Kind: "list", Button: "o", Sections: []gateway.Section{{Rows: rows[:1]}, {Rows: rows[:1]}}}), "invalid_content", "no title"},
		{"a row without a title", offer(gateway.Interactive{Kind: "list", Button: "o", Sections: []gateway.Section{{Rows: []gateway.Row{{ID: "1"}}}}}), "invalid_content", "no title"},
		{"a choice of the future", offer(gateway.Interactive{Kind: "carousel"}), "content_unsupported", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.give.To = hello().To
			got := send(t, tt.give, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
			if got.Outcome != gateway.Permanent || got.Code != tt.code || !strings.Contains(got.Reason, tt.why) {
				t.Errorf("%+v, want permanent %s for %q", got, tt.code, tt.why)
			}
			mustBeWellFormed(t, got)
		})
	}
}

// Whatever content it is: the answers mean the same, and no reason carries on what
// the gateway repeats of it.
func TestEveryContentIsAnsweredAlikeAndKeptPrivate(t *testing.T) {
	t.Parallel()
	const private = "un secreto muy largo"
	file := base64.StdEncoding.EncodeToString([]byte(private))
	for name, m := range map[string]gateway.Outgoing{
		"file":     {Type: "image", Content: &gateway.Content{Media: &gateway.Media{Base64: file, FileName: private, Caption: private}}},
		"URL":      {Type: "sticker", Content: &gateway.Content{Media: &gateway.Media{URL: "https://x.invalid/?" + strings.ReplaceAll(private, " ", "+")}}},
		"location": {Type: "location", Content: &gateway.Content{Location: &gateway.Location{Name: private, Address: private}}},
		"contacts": {Type: "contacts", Content: &gateway.Content{Contacts: []gateway.Card{{Name: private, Phones: []string{private}, Emails: []string{private}}}}},
		"reaction": {Type: "reaction", Content: &gateway.Content{Reaction: &gateway.Reaction{To: "A", Emoji: private}}},
		"poll":     {Type: "poll", Content: &gateway.Content{Poll: &gateway.Poll{Name: private, Options: []string{private, "b"}}}},
		"buttons":  {Type: "interactive", Content: &gateway.Content{Interactive: &gateway.Interactive{Kind: "buttons", Body: private, Buttons: []gateway.Button{{ID: "1", Title: private}}}}},
		"list": {Type: "interactive", Content: &gateway.Content{Interactive: &gateway.Interactive{
			Kind: "list", Body: private, Footer: private, Button: private,
			Sections: []gateway.Section{{Title: private, Rows: []gateway.Row{{ID: "1", Title: private, Description: private}}}},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m.To = hello().To
			got := send(t, m, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				echo, _ := json.Marshal("instance refused: " + string(body))
				says(400, `{"status":400,"response":{"message":[[`+string(echo)+`]]}}`)(w, r)
			})
			if got := got.Outcome.String() + " " + got.Code; got != "permanent invalid_request" {
				t.Errorf("%s, want permanent invalid_request", got)
			}
			for _, text := range []string{private, file, "5550001404", "secreto"} {
				if strings.Contains(got.Reason, text) {
					t.Errorf("reason %q contains %q", got.Reason, text)
				}
			}
			closed := send(t, m, says(400, `{"response":{"message":["Error: Connection Closed"]}}`))
			if diff := cmp.Diff("retry connection_closed", closed.Outcome.String()+" "+closed.Code); diff != "" {
				t.Error(diff)
			}
			mustBeWellFormed(t, got)
		})
	}
}
