package evolution_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// decode decodes an event of some data and fails the test when it is unusable.
func decode(t *testing.T, name, data string) gateway.Update {
	t.Helper()
	u, err := evolution.Decoder{}.Decode(name, []byte(`{"data":`+data+`}`))
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	mustBeStorable(t, u)
	return u
}

// received decodes a message that somebody wrote.
func received(t *testing.T, message string) gateway.Message {
	t.Helper()
	u := decode(t, "messages.upsert", `{"key":{"remoteJid":"521@s.whatsapp.net","fromMe":false,"id":"A"},"message":`+message+`}`)
	if len(u.Messages) != 1 {
		t.Fatalf("%d messages in %s", len(u.Messages), message)
	}
	return u.Messages[0]
}

func TestContentIsToldInOurWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, give       string
		kind, text, want string // want is the content; empty: none
	}{
		{"text", `{"conversation":"a"}`, "text", "a", ``},
		{"text with a preview", `{"extendedTextMessage":{"text":"a","title":"t","matchedText":"u","jpegThumbnail":"/9j/"}}`, "text", "a", ``},
		{"forwarded", `{"extendedTextMessage":{"text":"a","contextInfo":{"isForwarded":true,"forwardingScore":1}}}`, "text", "a", `{"forwarded":true}`},
		{"forwarded, told beside", `{"conversation":"a","contextInfo":{"isForwarded":true}}`, "text", "a", `{"forwarded":true}`},
		{"an ad", `{"extendedTextMessage":{"text":"a","contextInfo":{"externalAdReply":{"sourceType":"ad","ctwaClid":"c","thumbnail":"/9j/"}}}}`, "text", "a", `{"raw":{"externalAdReply":{"sourceType":"ad","ctwaClid":"c"}}}`},
		{"a link that looks like an ad", `{"extendedTextMessage":{"text":"a","contextInfo":{"externalAdReply":{"title":"x"}}}}`, "text", "a", ``},
		{"an album's picture", `{"associatedChildMessage":{"message":{"imageMessage":{"caption":"c","mimetype":"image/png"}}}}`, "image", "c", `{"media":{"kind":"image","mime_type":"image/png"}}`},
		{"a spoken transcript", `{"audioMessage":{"ptt":true,"seconds":"3"},"speechToText":"hola"}`, "voice", "", `{"media":{"kind":"voice","seconds":3},"raw":{"speechToText":"hola"}}`},
		{"a song", `{"audioMessage":{"seconds":3}}`, "audio", "", `{"media":{"kind":"audio","seconds":3}}`},
		{"a document by its title", `{"documentMessage":{"title":"t.pdf","fileLength":"12"}}`, "document", "", `{"media":{"kind":"document","file_name":"t.pdf","bytes":12}}`},
		{"impossible numbers", `{"videoMessage":{"seconds":-1,"fileLength":{"low":-1,"high":-1}}}`, "video", "", `{"media":{"kind":"video"}}`},
		{"a place in text", `{"locationMessage":{"degreesLatitude":"19.4","degreesLongitude":"-99.1"}}`, "location", "", `{"location":{"latitude":19.4,"longitude":-99.1}}`},
		{"no place", `{"locationMessage":{"degreesLatitude":91,"degreesLongitude":0}}`, "unknown", "", `{"raw":{"locationMessage":{"degreesLatitude":91,"degreesLongitude":0}}}`},
		{"a reaction to nothing", `{"reactionMessage":{"text":"x"}}`, "unknown", "", `{"raw":{"reactionMessage":{"text":"x"}}}`},
		{"a vote taken back", `{"pollUpdateMessage":{"pollCreationMessageKey":{"id":"P"},"vote":{"selectedOptions":[]}}}`, "poll", "", `{"poll":{"to":"P"}}`},
		{"two votes", `{"pollUpdateMessage":{"pollCreationMessageKey":{"id":"P"},"vote":{"selectedOptions":["a",7,"b"]}}}`, "poll", "a, b", `{"poll":{"votes":["a","b"],"to":"P"}}`},
		{"a button by its id alone", `{"buttonsResponseMessage":{"selectedButtonId":"si"}}`, "interactive", "si", `{"interactive":{"kind":"button","id":"si"}}`},
		{"a row of a flow", `{"interactiveResponseMessage":{"nativeFlowResponseMessage":{"name":"single_select","paramsJson":"{\"id\":\"1\",\"title\":\"A\",\"description\":\"d\"}"}}}`, "interactive", "A", `{"interactive":{"kind":"list","id":"1","title":"A","description":"d"}}`},
		{"a form", `{"interactiveResponseMessage":{"body":{"text":"Sent"},"nativeFlowResponseMessage":{"name":"flow","paramsJson":"{\"age\":7}"}}}`, "interactive", "Sent", `{"interactive":{"kind":"flow","title":"Sent","data":{"age":7}}}`},
		{"a form that is no JSON", `{"interactiveResponseMessage":{"nativeFlowResponseMessage":{"name":"flow","paramsJson":"{age\u0000"}}}`, "interactive", "", `{"interactive":{"kind":"flow","data":"{age"}}`},
		{"old buttons", `{"buttonsMessage":{"contentText":"b","footerText":"f","buttons":[{"buttonId":"1","buttonText":{"displayText":"A"}},{}]}}`, "interactive", "b", `{"interactive":{"kind":"buttons","body":"b","footer":"f","buttons":[{"id":"1","title":"A"}]}}`},
		{"buttons with a title", `{"interactiveMessage":{"body":{"text":"*h*\n\nb"},"nativeFlowMessage":{"messageParamsJson":"{\"from\":\"api\"}"}}}`, "interactive", "b", `{"interactive":{"kind":"buttons","body":"b","header":"h"}}`},
		{"somebody else's asterisks", `{"interactiveMessage":{"body":{"text":"*b*"}}}`, "interactive", "*b*", `{"interactive":{"kind":"buttons","body":"*b*"}}`},
		{"a list in a flow", `{"interactiveMessage":{"body":{"text":"b"},"nativeFlowMessage":{"buttons":[{"name":"single_select","buttonParamsJson":"{\"title\":\"Ver\",\"sections\":[{\"rows\":[{\"id\":\"1\",\"title\":\"A\"}]}]}"}]}}}`, "interactive", "b", `{"interactive":{"kind":"list","body":"b","button":"Ver","sections":[{"rows":[{"id":"1","title":"A"}]}]}}`},
		{"a template", `{"templateMessage":{"hydratedTemplate":{"hydratedContentText":"Hola","jpegThumbnail":"/9j/"}}}`, "template", "Hola", `{"template":{"templateMessage":{"hydratedTemplate":{"hydratedContentText":"Hola"}}}}`},
		{"the future, wrapped", `{"ephemeralMessage":{"message":{"futureMessage":{"a":1,"jpegThumbnail":"/9j/"}}}}`, "unknown", "", `{"raw":{"ephemeralMessage":{"message":{"futureMessage":{"a":1}}}}}`},
		{"an order", `{"orderMessage":{"orderId":"1","token":"t"}}`, "unknown", "", `{"raw":{"orderMessage":{"orderId":"1","token":"t"}}}`},
		{"nothing but keys", `{"senderKeyDistributionMessage":{"groupId":"x"},"messageContextInfo":{}}`, "unknown", "", ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := received(t, tt.give)
			if m.Type != tt.kind || m.Text != tt.text {
				t.Errorf("%s %q, want %s %q", m.Type, m.Text, tt.kind, tt.text)
			}
			if diff := cmp.Diff(tt.want, string(m.Content)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileIsFoundByItsMessage(t *testing.T) {
	t.Parallel()
	const image = `{"imageMessage":{"mimetype":"image/png","url":"https://mmg.invalid","mediaKey":"AAA="}`
	for beside, want := range map[string]gateway.Media{
		`}`:                 {},
		`,"base64":"AAA="}`: {Base64: "AAA="},
		`,"base64":"AA"}`:   {},
		`,"mediaUrl":"https://s3.invalid/x?y=1"}`:  {URL: "https://s3.invalid/x?y=1"},
		`,"mediaUrl":"file:///etc/passwd"}`:        {},
		`,"mediaUrl":"//127.0.0.1/x","base64":7}`:  {},
		`,"mediaUrl":"ftp://x/y","base64":"%%%%"}`: {},
	} {
		m := received(t, image+beside)
		want.Kind, want.MIMEType, want.GatewayID = "image", "image/png", "A"
		if diff := cmp.Diff(&want, m.Media); diff != "" {
			t.Errorf("%s: media (-want +got):\n%s", beside, diff)
		}
		if got, want := string(m.Content), `{"media":{"kind":"image","mime_type":"image/png"}}`; got != want {
			t.Errorf("%s: content %s, want %s", beside, got, want)
		}
	}
	wrapped := received(t, `{"viewOnceMessageV2":{"message":`+image+`}},"base64":"AAA="}`)
	if wrapped.Media == nil || wrapped.Media.Base64 != "AAA=" {
		t.Errorf("beside a wrapper: %+v", wrapped.Media)
	}
}

func TestAChecksumIsBase64WhateverItCameAs(t *testing.T) {
	t.Parallel()
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf(`"%d":0`, i)
	}
	for give, want := range map[string]string{
		`"qrs="`:                               "qrs=",
		`{"0":170,"1":187}`:                    "qrs=",
		`{"1":187,"0":170}`:                    "qrs=",
		`[170,187]`:                            "qrs=",
		`{"type":"Buffer","data":[170,187]}`:   "qrs=",
		`"not base64"`:                         "",
		`{"0":170,"2":187}`:                    "",
		`{"0":170,"0":187}`:                    "",
		`{"0":256}`:                            "",
		`{"-1":1}`:                             "",
		`[170,"x"]`:                            "",
		`{}`:                                   "",
		`[]`:                                   "",
		`null`:                                 "",
		`"` + strings.Repeat("AAAA", 50) + `"`: "",
		`{` + strings.Join(many, ",") + `}`:    "",
		`[` + strings.Repeat("0,", 64) + `0]`:  "",
	} {
		m := received(t, `{"imageMessage":{"fileSha256":`+give+`}}`)
		if m.Media.SHA256 != want {
			t.Errorf("%.60s: %q, want %q", give, m.Media.SHA256, want)
		}
	}
}

func TestAVCardIsReadAsFarAsItIsOne(t *testing.T) {
	t.Parallel()
	card := func(lines ...string) string { return strings.Join(lines, "\r\n") }
	tests := []struct {
		name, give string
		want       gateway.Card
	}{
		{
			"as WhatsApp writes it",
			card("BEGIN:VCARD", "VERSION:3.0", "N:;Ana;;;", "FN:Ana", "item1.TEL;waid=5215550001001:+52 1 555 000 1001", "item2.EMAIL;type=INTERNET:a@b.mx", "END:VCARD"),
			gateway.Card{Name: "Ana", Phones: []string{"+5215550001001"}, Emails: []string{"a@b.mx"}},
		},
		{
			"without WhatsApp, folded, in lower case",
			card("begin:vcard", "fn:Ana\\, la", "  de ventas", "tel;type=cell:555 000", "tel:555 000", "tel;value=uri:tel:+1", "end:vcard"),
			gateway.Card{Name: "Ana, lade ventas", Phones: []string{"555 000", "+1"}},
		},
		{"nothing", "", gateway.Card{}},
		{"no vCard", "FN", gateway.Card{}},
		{"a waid that is none", "TEL;waid=1x:7", gateway.Card{Phones: []string{"7"}}},
		{"NUL", "FN:a\x00b\nEND:VCARD", gateway.Card{Name: "a b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vcard, _ := json.Marshal(tt.give)
			m := received(t, `{"contactMessage":{"vcard":`+string(vcard)+`}}`)
			var got gateway.Content
			if err := json.Unmarshal(m.Content, &got); err != nil {
				t.Fatal(err)
			}
			got.Contacts[0].VCard = ""
			if diff := cmp.Diff(tt.want, got.Contacts[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPicturesAreNoPartOfACard(t *testing.T) {
	t.Parallel()
	vcard, _ := json.Marshal("BEGIN:VCARD\nFN:Ana\nPHOTO;ENCODING=b:" + strings.Repeat("AAAA\n AAAA", 3000) + "\nTEL:7\nEND:VCARD")
	m := received(t, `{"contactsArrayMessage":{"contacts":[{"displayName":"A","vcard":`+string(vcard)+`},7,{"displayName":"B"}]}}`)
	const want = `{"contacts":[{"name":"A","phones":["7"],"vcard":"BEGIN:VCARD\nFN:Ana\nTEL:7\nEND:VCARD"},{"name":"B"}]}`
	if diff := cmp.Diff(want, string(m.Content)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However much somebody puts into a message, what is stored of it has bounds.
func TestContentHasBounds(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]string{
		"cards":    `{"contactsArrayMessage":{"contacts":[` + series(5000, `{"displayName":"n%d","vcard":"FN:%d\nEND:VCARD"}`) + `]}}`,
		"phones":   `{"contactMessage":{"displayName":"n","vcard":"` + strings.Repeat(`TEL:1\n`, 9000) + `"}}`,
		"options":  `{"pollCreationMessage":{"name":"q","options":[` + series(5000, `{"optionName":"%d %d"}`) + `]}}`,
		"votes":    `{"pollUpdateMessage":{"vote":{"selectedOptions":[` + series(5000, `"%d %d"`) + `]}}}`,
		"buttons":  `{"buttonsMessage":{"buttons":[` + series(5000, `{"buttonId":"%d","buttonText":{"displayText":"%d"}}`) + `]}}`,
		"rows":     `{"listMessage":{"sections":[{"rows":[` + series(5000, `{"rowId":"%d","title":"%d"}`) + `]}]}}`,
		"sections": `{"listMessage":{"sections":[` + series(5000, `{"title":"%d %d"}`) + `]}}`,
		"a name":   `{"documentMessage":{"fileName":"` + strings.Repeat("<", 100_000) + `"}}`,
		"a flow":   `{"interactiveResponseMessage":{"nativeFlowResponseMessage":{"paramsJson":"[` + strings.Repeat("1,", 100_000) + `1]"}}}`,
		"an ad":    `{"conversation":"a","contextInfo":{"externalAdReply":{"sourceType":"ad","body":"` + strings.Repeat("x", 100_000) + `"}}}`,
		"template": `{"templateMessage":{"x":"` + strings.Repeat("x", 100_000) + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m := received(t, give); m.Type == gateway.TypeUnknown {
				t.Errorf("unknown, content %.100s", m.Content)
			}
		})
	}
}

// No golden file may keep what WhatsApp needs to fetch a file, or a picture of it.
func TestGoldenFilesKeepNoKeys(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "golden", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range paths {
		for _, private := range []string{"mediaKey", "jpegThumbnail", "directPath", "fileEncSha256", "messageSecret", "SYNTHETIC", "iVBORw0KGgo"} {
			if strings.Contains(string(read(t, path)), private) {
				t.Errorf("%s holds %s", path, private)
			}
		}
	}
}
