package cloud_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

// Whatever Graph repeats of a request, no reason carries it on.
func TestSend_reasonKeepsSecrets(t *testing.T) {
	t.Parallel()
	m := gateway.Outgoing{
		To: "5215550001404@s.whatsapp.net", Type: gateway.TypeTemplate, Text: "La clave es \"1234\"\ny el resto",
		Content: &gateway.Content{
			Template:    json.RawMessage(`{"name":"aviso","language":{"code":"es"},"components":[{"type":"body","parameters":[{"type":"text","text":"Doña \u00c1na"},{"text" : 7}]}]}`),
			Media:       &gateway.Media{URL: "https://files.invalid/secreto?firma=1", Caption: "pie secreto", FileName: "secreto.pdf"},
			Location:    &gateway.Location{Name: "Casa secreta", Address: "Calle secreta"},
			Contacts:    []gateway.Card{{Name: "Luis Secreto", Emails: []string{"luis@secreto.invalid"}}},
			Interactive: &gateway.Interactive{Body: "cuerpo secreto", Footer: "suelo secreto", Header: "techo secreto"},
		},
	}
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, echo := range []string{
		m.Text, quote(m.Text), strings.ReplaceAll(m.Text, "\n", " "), m.Text[:20] + "…",
		"Doña Ána", "https://files.invalid/secreto?firma=1", "pie secreto", "secreto.pdf", "Casa secreta", "Calle secreta",
		"Luis Secreto", "luis@secreto.invalid", "cuerpo secreto", "suelo secreto", "techo secreto",
		"key " + credential + " is wrong",
		"525550001404 is not a number, nor is 5215550001404@s.whatsapp.net",
	} {
		for _, place := range []string{`"message":%s`, `"message":"x","error_data":{"details":%s}`} {
			got := send(t, m, answers(400, `{"error":{"type":"x","code":100,`+fmt.Sprintf(place, quote("refused: "+echo))+`}}`))
			for _, private := range []string{"La clave", "1234", credential, "5550001404", "ecret", "Doña"} {
				if strings.Contains(got.Reason, private) {
					t.Errorf("reason %q contains %q", got.Reason, private)
				}
			}
			mustBeWellFormed(t, got)
		}
	}
	got := send(t, m, answers(400, `{"error":{"type":"x","code":132001,"message":"(#132001) no \u0000\r\n template `+strings.Repeat("é", 1000)+`"}}`))
	if !strings.Contains(got.Reason, `The Cloud API refused the request. ((#132001) no template é`) {
		t.Errorf("reason %q does not quote Graph", got.Reason)
	}
	mustBeWellFormed(t, got)
}

func mustBeWellFormed(t *testing.T, a gateway.Answer) {
	t.Helper()
	if (a.Outcome == gateway.Accepted) != (a.MessageID != "") || (a.Outcome == gateway.Accepted) != (a.Code == "") {
		t.Errorf("contradictory answer %+v", a)
	}
	if !utf8.ValidString(a.Reason) || strings.ContainsAny(a.Reason, "\x00\r\n") || utf8.RuneCountInString(a.Reason) > 300 {
		t.Errorf("reason is not one short line: %q", a.Reason)
	}
	if a.Outcome != gateway.Accepted && a.Reason == "" {
		t.Errorf("no reason: %+v", a)
	}
	if a.Outcome != gateway.Retry && (a.Scope != gateway.ScopeMessage || a.Slow) {
		t.Errorf("only a retry is about other messages: %+v", a)
	}
}

func FuzzReply(f *testing.F) {
	for _, path := range glob(f, "cloudapi/http") {
		var recorded struct {
			Status int
			Body   json.RawMessage
		}
		if err := json.Unmarshal(read(f, path), &recorded); err != nil {
			f.Fatal(err)
		}
		f.Add(recorded.Status, []byte(recorded.Body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := cloud.NewSender(&http.Client{Transport: canned{status, string(body)}}).Send(t.Context(), account("http://graph.invalid"), hello())
		mustBeWellFormed(t, got)
		if got.Outcome == gateway.Accepted && status/100 != 2 {
			t.Errorf("accepted with status %d", status)
		}
		if strings.Contains(got.Reason, hello().Text) || strings.Contains(got.Reason, credential) {
			t.Errorf("reason %q tells too much", got.Reason)
		}
	})
}

// canned answers every request alike, without a network.
type canned struct {
	status int
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}
