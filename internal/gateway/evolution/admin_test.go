package evolution_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
	"github.com/msgorch/msgorch/internal/gateway/wire"
	"github.com/msgorch/msgorch/internal/secret"
)

// canned is a gateway that always gives the same answer.
type canned struct {
	status int
	body   string
}

func (s canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.body))}, nil
}

func (s canned) admin() *evolution.Admin { return evolution.NewAdmin(&http.Client{Transport: s}) }

func sales() gateway.Account {
	return gateway.Account{Instance: "sales", BaseURL: "http://gateway.example", Credential: "hunter2"}
}

func TestAdminSetsAnInstanceUpAndLinksIt(t *testing.T) {
	t.Parallel()
	_, address, _ := gatewaytest.StartSandbox(t)
	at := gateway.Account{Instance: "tienda nueva", BaseURL: address, Credential: gatewaytest.Credential}
	a, ctx := evolution.NewAdmin(nil), t.Context()
	if there, err := a.Find(ctx, at); there != nil || err != nil {
		t.Fatalf("before: %v, %v", there, err)
	}
	token, err := a.Create(ctx, at)
	if err != nil || token == "" {
		t.Fatalf("create: %v", err)
	}
	if _, err := a.Create(ctx, at); code(err) != "name_in_use" {
		t.Errorf("create again: %v", err)
	}
	want := evolution.Webhook{
		Enabled: true, URL: "http://api.example/x", Events: evolution.Events(),
		Headers: map[string]secret.Text{"Authorization": "Bearer hunter2"},
	}
	if err := a.SetWebhook(ctx, at, want); err != nil {
		t.Fatal(err)
	}
	got, err := a.Webhook(ctx, at)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("webhook: %v (-want +got):\n%s", err, diff)
	}
	first, err := a.Link(ctx, at, "5215550009000")
	if err != nil || first.State != "connecting" || first.QR.Code == "" || first.QR.PairingCode == "" {
		t.Errorf("link: %+v, %v", first, err)
	}
	at.Credential = token
	if state, err := a.State(ctx, at); state != "connecting" || err != nil {
		t.Errorf("state with its own key: %q, %v", state, err)
	}
	there, err := a.Find(ctx, at)
	if err != nil || there == nil || there.State != "connecting" || there.Token != token || there.Integration != evolution.Baileys {
		t.Errorf("found: %+v, %v", there, err)
	}
}

func TestAdminReadsEveryVersion(t *testing.T) {
	t.Parallel()
	find := func(body string) *evolution.Instance {
		t.Helper()
		i, err := canned{200, body}.admin().Find(t.Context(), sales())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	old := find(`[{"instance":{"instanceName":"sales","owner":"5215550009000@s.whatsapp.net","status":"open","apikey":"K"}}]`)
	if diff := cmp.Diff(&evolution.Instance{State: "open", Number: "5215550009000", Token: "K"}, old); diff != "" {
		t.Errorf("version 1 (-want +got):\n%s", diff)
	}
	now := find(`[{"name":"sales2","token":"X"},{"name":"sales","connectionStatus":"open","ownerJid":"5215550009000:7@s.whatsapp.net",
		"integration":"WHATSAPP-BAILEYS","token":null,"Chatwoot":{"enabled":true},"Rabbitmq":null,"Setting":{"readMessages":true}}]`)
	want := &evolution.Instance{
		Integration: evolution.Baileys, State: "open", Number: "5215550009000", Settings: evolution.Settings{ReadMessages: true}, Others: []string{"Chatwoot"},
	}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("version 2 (-want +got):\n%s", diff)
	}
	if i := find(`[{"name":"Sales"},{"NAME":"sales"}]`); i != nil {
		t.Errorf("another instance was taken for ours: %+v", i)
	}
	for body, want := range map[string]secret.Text{`{"hash":"K"}`: "K", `{"hash":{"apikey":"K"}}`: "K", `{"hash":"a\nb"}`: "", `{}`: ""} {
		if got, err := (canned{201, body}).admin().Create(t.Context(), sales()); got != want || err != nil {
			t.Errorf("%s: %q, %v", body, got.Reveal(), err)
		}
	}
	for body, want := range map[string]gateway.Link{
		`{"instance":{"instanceName":"sales","state":"open"}}`: {State: "open"},
		`{"count":0}`: {State: "connecting"},
		`{"pairingCode":"ABCD","code":"2@x","base64":"data:…","count":1}`:          {State: "connecting", QR: gateway.QR{Code: "2@x", PairingCode: "ABCD"}},
		`{"qrcode":{"code":"2@x"}}`:                                                {State: "connecting", QR: gateway.QR{Code: "2@x"}},
		`{"message":"QR code limit reached, please login again","statusCode":500}`: {State: "connecting", QR: gateway.QR{Exhausted: true}},
		`{"code":{"low":1},"pairingCode":["x"]}`:                                   {State: "connecting"},
		`{"code":"` + strings.Repeat("x", 5000) + `"}`:                             {State: "connecting"},
		`{"Code":"2@y","instance":"sales"}`:                                        {State: "connecting"},
	} {
		if got, err := (canned{200, body}).admin().Link(t.Context(), sales(), ""); got != want || err != nil {
			t.Errorf("%.80s: %+v, %v", body, got, err)
		}
	}
}

func TestAdminSaysWhatWentWrongAndNothingElse(t *testing.T) {
	t.Parallel()
	const quote = "hunter2 of +5215550001001"
	for _, tt := range []struct {
		status int
		body   string
		want   string
	}{
		{401, `{"status":401,"error":"Unauthorized","response":{"message":"` + quote + `"}}`, "bad_credentials"},
		{403, `{"response":{"message":["` + quote + `"]}}`, "bad_credentials"},
		{404, `{"response":{"message":["` + quote + `"]}}`, "instance_not_found"},
		{404, quote, "gateway_error"},
		{400, `{"response":{"message":[["` + quote + `"]]}}`, "invalid_request"},
		{503, `{"code":"LICENSE_REQUIRED","message":"` + quote + `"}`, "license_required"},
		{302, "", "gateway_redirect"},
		{500, `{"message":"` + quote + `"}`, "gateway_error"},
		{200, "<html>" + quote, "gateway_error"},
		{200, `{"error":true,"message":"` + quote + `"}`, "gateway_error"},
	} {
		_, err := canned{tt.status, tt.body}.admin().Link(t.Context(), sales(), "")
		if code(err) != tt.want || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "555") {
			t.Errorf("%d %s: %v, want %s", tt.status, tt.body, err, tt.want)
		}
	}
	for base, want := range map[string]string{"ftp://x": "invalid_base_url", "http://127.0.0.1:1": "connect_failed"} {
		at := sales()
		at.BaseURL = base
		if _, err := evolution.NewAdmin(nil).State(t.Context(), at); code(err) != want || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", base, err, want)
		}
	}
}

// What is asked for must be known to the gateway and mean something to us.
func TestEveryEventThatIsAskedForIsDecoded(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	seed(t, func(event string, body []byte) {
		e, err := evolution.Decoder{}.Open(body)
		if err != nil {
			return
		}
		if u, err := (evolution.Decoder{}).Decode(e.Event, e.Body); err == nil && u.Handled {
			seen[strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(e.Event))] = true
		}
	})
	for _, event := range evolution.Events() {
		if !seen[event] {
			t.Errorf("%s is asked for and means nothing to us; known are %v", event, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// Whatever a server answers, nothing panics, grows without bound, or is believed
// that cannot be used.
func FuzzAdmin(f *testing.F) {
	for _, body := range []string{
		`[{"name":"sales","connectionStatus":"open","ownerJid":"1@s.whatsapp.net","token":"K","Setting":{"readMessages":true}}]`,
		`{"url":"https://h/x","enabled":true,"headers":{"Authorization":"Bearer x"},"events":["CALL"],"webhookByEvents":false}`,
		`{"instance":{"state":"open"}}`, `{"code":"2@x","pairingCode":null,"base64":"data:"}`, `{"hash":{"apikey":"K"}}`, `{"version":"2.3.6"}`, `null`, `[`, ``,
	} {
		f.Add(200, body)
		f.Add(404, body)
	}
	seed(f, func(_ string, body []byte) { f.Add(201, string(body)) })
	f.Fuzz(func(t *testing.T, status int, body string) {
		a, ctx := canned{status, body}.admin(), t.Context()
		version, err1 := a.Version(ctx, sales())
		i, err2 := a.Find(ctx, sales())
		token, err3 := a.Create(ctx, sales())
		w, err4 := a.Webhook(ctx, sales())
		_, err5 := a.Settings(ctx, sales())
		state, err6 := a.State(ctx, sales())
		l, err7 := a.Link(ctx, sales(), "1")
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			if code(err) == "internal" {
				t.Fatalf("unclassified: %v", err)
			}
		}
		if i == nil {
			i = &evolution.Instance{}
		}
		for _, text := range []string{version, state, i.State, i.Integration, l.State} {
			if len(text) > 200 { // what is no text grows a little when it becomes one
				t.Fatalf("%d bytes of a word", len(text))
			}
		}
		if !wire.IsHeaderSafe(token) || !wire.IsHeaderSafe(i.Token) || i.Number != "" && !wire.IsDigits(i.Number) {
			t.Fatalf("unusable: %q, %+v", token.Reveal(), i)
		}
		if len(w.Headers) > 100 || len(w.Events) > 100 || len(w.URL) > 4096 || len(l.QR.Code) > 1024 {
			t.Fatalf("too much: %s", fmt.Sprint(len(w.Headers), len(w.Events), len(w.URL), len(l.QR.Code)))
		}
	})
}
