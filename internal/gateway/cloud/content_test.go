package cloud_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

func TestDecodeReadsWhyAMessageFailed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ code, reason string }{
		`"x":1`:                        {"", "failed"},
		`"errors":[]`:                  {"", "failed"},
		`"errors":{}`:                  {"", "failed"},
		`"errors":[{"code":131026}]`:   {"131026", "failed"},
		`"errors":[{"code":"131047"}]`: {"131047", "failed"},
		`"errors":[{"title":"Why"},{"title":"Or this"}]`:                         {"", "Why"},
		`"errors":[{"code":1,"message":"Why"}]`:                                  {"1", "Why"},
		`"errors":[{"code":1,"title":"Why\n\u0000 not"}]`:                        {"1", "Why not"},
		`"errors":[{"title":"5215550001001 is no number"}]`:                      {"", "[number] is no number"},
		`"errors":[{"code":1,"title":"Why","error_data":{"details":"Why"}}]`:     {"1", "Why"},
		`"errors":[{"code":1,"title":"Why","error_data":{"details":"Because"}}]`: {"1", "Why: Because"},
		`"errors":[{"code":1,"title":"` + strings.Repeat("é", 400) + `"}]`:       {"1", strings.Repeat("é", 300)},
	}
	for errors, want := range tests {
		u := decode(t, webhook(change("messages", `"statuses":[{"id":"A","status":"failed",`+errors+`}]`)))
		says(t, gateway.Update{Handled: true, Statuses: []gateway.Evidence{
			{Account: "100", MessageID: "A", Status: gateway.StatusFailed, Code: want.code, Reason: want.reason},
		}}, u)
	}
}

func TestDecodeKeepsWhatItHasNoWordsFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, message string // members beside id and from
		kind, text    string
		content       string // less the raw message, which is not repeated here
	}{
		{"a welcome", `"type":"request_welcome"`, "unknown", "", ""},
		{"a type of the future", `"type":"hologram","hologram":{"text":"x"}`, "unknown", "", ""},
		{"no type", `"text":{"body":"x"}`, "unknown", "", ""},
		{"an answer of the future", `"type":"interactive","interactive":{"type":"call_permission_reply","call_permission_reply":{}}`, "unknown", "", ""},
		{"a file that Meta could not get", `"type":"image","errors":[{"code":131052}]`, "unknown", "", ""},
		{"a flow that is no JSON", `"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"body":"Sent","response_json":"a\u0000b"}}`, "interactive", "Sent", `{"interactive":{"kind":"flow","title":"Sent","data":"ab"}}`},
		{"an ad", `"type":"text","text":{"body":"x"},"referral":{"ctwa_clid":"a\u0000"}`, "text", "x", `{"raw":{"referral":{"ctwa_clid":"a"}}}`},
		{"an ad that is too long", `"type":"text","text":{"body":"x"},"referral":{"a":"` + strings.Repeat("a", 70_000) + `"}`, "text", "x", ""},
		{"forwarded often", `"type":"image","image":{"id":"9","mime_type":"image/png\r\nX: y"},"context":{"frequently_forwarded":true}`, "image", "", `{"media":{"kind":"image","mime_type":"image/png X: y"},"forwarded":true}`},
		{"a button without a title", `"type":"button","button":{"payload":"GO"}`, "interactive", "GO", `{"interactive":{"kind":"button","id":"GO"}}`},
		{"a place in strings", `"type":"location","location":{"latitude":"19.5","longitude":"-99","name":"a\u0000"}`, "location", "", `{"location":{"latitude":19.5,"longitude":-99,"name":"a"}}`},
		{"a card without a number", `"type":"contacts","contacts":[{"name":{"first_name":"Ana","last_name":"Paz"},"phones":[{"phone":"555 1"},{}],"emails":[{"email":"a@b.c"}],"vcard":"BEGIN"},7]`, "contacts", "", `{"contacts":[{"name":"Ana Paz","phones":["555 1"],"emails":["a@b.c"],"vcard":"BEGIN"}]}`},
		{"cards without end", `"type":"contacts","contacts":[` + series(90, `{"name":{"formatted_name":"%d"},"vcard":"`+strings.Repeat("v", 5000)+`%d"}`) + `]`, "contacts", "", `{"raw":{"truncated":true,"type":"contacts"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := `{"id":"A","from":"1001",` + tt.message + `}`
			u := decode(t, webhook(change("messages", `"messages":[`+raw+`]`)))
			m := u.Messages[0]
			if m.Type != tt.kind || m.Text != tt.text {
				t.Errorf("%s %q, want %s %q", m.Type, m.Text, tt.kind, tt.text)
			}
			want := tt.content
			if tt.kind == gateway.TypeUnknown {
				want = `{"raw":` + raw + `}`
			}
			if diff := cmp.Diff(want, string(m.Content)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if (m.Media != nil) != strings.Contains(tt.message, `"id":"9"`) {
				t.Errorf("file %+v", m.Media)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNotWhatItSays(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		`"type":"text"`, `"type":"text","text":{}`, `"type":"text","text":"x"`, `"type":"text","text":{"body":7}`,
		`"type":"image"`, `"type":"image","image":"9"`, `"type":"location","location":{"latitude":"NaN","longitude":1}`,
		`"type":"location","location":{"latitude":91,"longitude":1}`, `"type":"location","location":{"latitude":1}`,
		`"type":"contacts","contacts":{}`, `"type":"contacts","contacts":[]`, `"type":"reaction","reaction":{"emoji":"x"}`,
		`"type":"interactive"`, `"type":"interactive","interactive":{"type":"button_reply"}`, `"type":"button","button":[]`,
	} {
		_, err := cloud.Decoder{}.Decode("", []byte(webhook(change("messages", `"messages":[{"id":"A","from":"1001",`+content+`}]`))))
		if code(err) != "missing_content" {
			t.Errorf("%s: code %q, want missing_content", content, code(err))
		}
	}
}
