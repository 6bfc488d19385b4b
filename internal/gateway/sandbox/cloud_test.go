package sandbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	wall "github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

const (
	numberID   = "100000000000077"
	graphToken = "GRAPH-TOKEN"
	appSecret  = "APP-SECRET"
	ana        = "5215550001001@s.whatsapp.net"
)

// graph is a sandbox as the Cloud API, with one number of ours.
type graph struct {
	*gateway
	*cloud.Sender
	account wall.Account
}

// newGraph registers the number as change makes it; nil changes nothing.
func newGraph(t *testing.T, change func(*sandbox.CloudNumber)) *graph {
	t.Helper()
	g := newGateway(t, sandbox.Options{WebhookBackoff: 1})
	n := sandbox.CloudNumber{PhoneNumberID: numberID, Instance: "sales", Token: graphToken, AppSecret: appSecret, VerifyToken: "V"}
	if change != nil {
		change(&n)
	}
	if err := g.RegisterNumber(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return &graph{g, cloud.NewSender(g.client), wall.Account{Instance: numberID, BaseURL: g.url + "/graph/v23.0", Credential: graphToken}}
}

func (g *graph) text(t *testing.T, to string) wall.Answer {
	t.Helper()
	return g.Send(t.Context(), g.account, wall.Outgoing{ID: "ours-1", To: to, Type: wall.TypeText, Text: "¿Mañana a las diez?"})
}

// cloudExample returns the recorded webhook of a name.
func cloudExample(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "corpus", "cloudapi", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatIsSentThroughTheCloudAPIIsWhatTheLogSays(t *testing.T) {
	t.Parallel()
	picture := []byte("\x89PNG\r\n\x1a\nbytes")
	tests := map[string]struct {
		give wall.Outgoing
		want string // the request without whom it is for
	}{
		"text": {
			wall.Outgoing{Type: wall.TypeText, Text: "¿Qué?", QuotedID: "wamid.Q"},
			`{"type":"text","text":{"body":"¿Qué?"},"context":{"message_id":"wamid.Q"}}`,
		},
		"image by link": {
			wall.Outgoing{Type: wall.TypeImage, Text: "foto", Content: &wall.Content{Media: &wall.Media{URL: "https://x.invalid/a.png"}}},
			`{"type":"image","image":{"link":"https://x.invalid/a.png","caption":"foto"}}`,
		},
		"document by its bytes": {
			wall.Outgoing{Type: wall.TypeDocument, Content: &wall.Content{Media: &wall.Media{
				Base64: base64.StdEncoding.EncodeToString(picture), MIMEType: "image/png", FileName: "a.png",
			}}},
			`{"type":"document","document":{"id":"FILE","filename":"a.png"}}`,
		},
		"voice": {
			wall.Outgoing{Type: wall.TypeVoice, Content: &wall.Content{Media: &wall.Media{URL: "https://x.invalid/a.ogg"}}},
			`{"type":"audio","audio":{"link":"https://x.invalid/a.ogg","voice":true}}`,
		},
		"location": {
			wall.Outgoing{Type: wall.TypeLocation, Content: &wall.Content{Location: &wall.Location{Latitude: 19.4, Longitude: -99.1, Name: "Zócalo"}}},
			`{"type":"location","location":{"latitude":19.4,"longitude":-99.1,"name":"Zócalo"}}`,
		},
		"contacts": {
			wall.Outgoing{Type: wall.TypeContacts, Content: &wall.Content{Contacts: []wall.Card{{Name: "Beto", Phones: []string{"+5215550001002"}}}}},
			`{"type":"contacts","contacts":[{"name":{"formatted_name":"Beto","first_name":"Beto"},"phones":[{"phone":"+5215550001002","wa_id":"5215550001002"}]}]}`,
		},
		"reaction": {
			wall.Outgoing{Type: wall.TypeReaction, Content: &wall.Content{Reaction: &wall.Reaction{To: "wamid.R", Emoji: "👍"}}},
			`{"type":"reaction","reaction":{"message_id":"wamid.R","emoji":"👍"}}`,
		},
		"buttons": {
			wall.Outgoing{Type: wall.TypeInteractive, Content: &wall.Content{Interactive: &wall.Interactive{
				Kind: "buttons", Body: "¿Sí?", Buttons: []wall.Button{{ID: "si", Title: "Sí"}},
			}}},
			`{"type":"interactive","interactive":{"type":"button","body":{"text":"¿Sí?"},"action":{"buttons":[{"type":"reply","reply":{"id":"si","title":"Sí"}}]}}}`,
		},
		"list": {
			wall.Outgoing{Type: wall.TypeInteractive, Content: &wall.Content{Interactive: &wall.Interactive{
				Kind: "list", Body: "Menú", Button: "Ver", Sections: []wall.Section{{Rows: []wall.Row{{ID: "1", Title: "Mole", Description: "rojo"}}}},
			}}},
			`{"type":"interactive","interactive":{"type":"list","body":{"text":"Menú"},"action":{"button":"Ver","sections":[{"rows":[{"id":"1","title":"Mole","description":"rojo"}]}]}}}`,
		},
		"template": {
			wall.Outgoing{Type: wall.TypeTemplate, Content: &wall.Content{Template: json.RawMessage(`{"name":"paid","language":{"code":"es_MX"}}`)}},
			`{"type":"template","template":{"name":"paid","language":{"code":"es_MX"}}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGraph(t, nil)
			tt.give.ID, tt.give.To = "ours-1", ana

			got := g.Send(t.Context(), g.account, tt.give)

			log := g.Sent()
			if got.Outcome != wall.Accepted || len(log) != 1 || log[0].ID == nil || *log[0].ID != got.MessageID {
				t.Fatalf("%+v, log %+v, want one with the id that was answered", got, log)
			}
			request := decode[map[string]any](t, log[0].Cloud.Request)
			if file, ok := request["document"].(map[string]any); ok {
				content, mimeType, _ := g.CloudFile(fmt.Sprint(file["id"]))
				if string(content) != string(picture) || mimeType != "image/png" {
					t.Errorf("the file is %q of type %q", content, mimeType)
				}
				file["id"] = "FILE"
			}
			want := decode[map[string]any](t, []byte(tt.want))
			want["messaging_product"], want["recipient_type"], want["to"] = "whatsapp", "individual", "5215550001001"
			want["biz_opaque_callback_data"] = "ours-1"
			if diff := cmp.Diff(want, request); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			about := *log[0].Cloud
			about.Request = nil
			if diff := cmp.Diff(sandbox.CloudSent{PhoneNumberID: numberID, Type: fmt.Sprint(want["type"]), CallbackData: "ours-1"}, about); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if log[0].To != ana || log[0].Instance != "sales" || log[0].Outcome != sandbox.OutcomeAccepted || !log[0].Delivered || log[0].AnsweredAt == nil {
				t.Errorf("log = %+v", log[0])
			}
		})
	}
}

func TestGroupsAndUsersHaveTheirAddresses(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	for _, to := range []string{ana, "Y2FwaV9ncm91cDox@g.us", "MX.13491208655302741918@bsuid"} {
		if a := g.text(t, to); a.Outcome != wall.Accepted {
			t.Errorf("to %s: %+v", to, a)
		}
		if log := g.Sent(); log[len(log)-1].To != to {
			t.Errorf("logged for %s, want %s", log[len(log)-1].To, to)
		}
	}
}

func TestTheSameRequestTwiceIsTwoMessages(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	if first, second := g.text(t, ana), g.text(t, ana); first.MessageID == second.MessageID || len(g.Sent()) != 2 {
		t.Errorf("%+v and %+v, %d in the log", first, second, len(g.Sent()))
	}
}

// post calls Graph without our own client.
func (g *graph) post(t *testing.T, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.account.BaseURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+graphToken)
	req.Header.Set("Content-Type", "application/json")
	return do(t, g.client, req)
}

const goodText = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"5215550001001","type":"text","text":{"body":"hola"}}`

func TestASendIsAnsweredInTheShapeOfGraph(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	for name, body := range map[string]string{
		"send-200": goodText,
		"send-200-template": `{"messaging_product":"whatsapp","to":"5215550001001","type":"template",
			"template":{"name":"paid","language":{"code":"es_MX"}}}`,
	} {
		want := decode[struct {
			Status int
			Body   json.RawMessage
		}](t, cloudExample(t, "http/"+name))
		got := g.post(t, "/"+numberID+"/messages", body)
		if got.status != want.Status {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, want.Status, got.body)
		}
		if diff := cmp.Diff(shape(t, want.Body), shape(t, got.body)); diff != "" {
			t.Errorf("%s: shape (-want +got):\n%s", name, diff)
		}
	}
}

// Every error that was recorded can be had by fault injection, word for word.
func TestErrorsSayWhatGraphSays(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "corpus", "cloudapi", "http", "send-err-[0-9]*.json"))
	if err != nil || len(paths) < 25 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		code := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "send-err-"), ".json")
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			g := newGraph(t, nil)
			g.fault(t, `{"error_500":1,"graph_errors":[`+code+`]}`)

			got := g.post(t, "/"+numberID+"/messages", goodText)

			want := decode[struct {
				Status int
				Body   struct{ Error map[string]any }
			}](t, cloudExample(t, "http/send-err-"+code))
			body := decode[struct{ Error map[string]any }](t, got.body)
			if got.status != want.Status || body.Error["fbtrace_id"] == "" {
				t.Errorf("%d with trace %v, want %d and one", got.status, body.Error["fbtrace_id"], want.Status)
			}
			delete(want.Body.Error, "fbtrace_id")
			delete(body.Error, "fbtrace_id")
			if diff := cmp.Diff(want.Body.Error, body.Error); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if log := g.Sent(); len(log) != 1 || log[0].Delivered || fmt.Sprint(log[0].Cloud.ErrorCode) != code {
				t.Errorf("log = %+v", log)
			}
		})
	}
}

func TestANewSandboxKnowsTheDemoNumber(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url + "/webhooks/evolution", WebhookToken: "wt", APIKey: "k"})
	account := wall.Account{Instance: sandbox.DemoNumber, BaseURL: g.url + "/graph/v23.0", Credential: "k"}
	a := cloud.NewSender(g.client).Send(t.Context(), account, wall.Outgoing{To: ana, Type: wall.TypeText, Text: "hola"})
	if a.Outcome != wall.Accepted {
		t.Fatalf("%+v, want accepted", a)
	}
	for _, h := range sink.take(t, 3) {
		if h.path != "/webhooks/cloud/cloud" || !cloud.Signed(h.body, h.header.Get("X-Hub-Signature-256"), "wt") {
			t.Errorf("a webhook to %s is signed with %q", h.path, h.header.Get("X-Hub-Signature-256"))
		}
	}
}
