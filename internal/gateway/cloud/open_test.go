package cloud_test

import (
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

func TestOpenNamesTheEventByItsField(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		webhook(change("messages", `"messages":[]`)):                              "cloud.messages",
		webhook(change("messages", `"messages":[]`), change("messages", `"x":1`)): "cloud.messages",
		webhook(change("messages", `"messages":[]`), change("history", `"x":1`)):  "cloud.webhook",
		webhook(`{"field":"account_update"}`):                                     "cloud.account_update",
		webhook(`{"field":"never_seen"}`):                                         "cloud.never_seen",
		webhook(`{"field":"../../admin"}`):                                        "cloud.webhook",
		webhook(`{"field":"Messages"}`):                                           "cloud.webhook",
		webhook(`{"field":7}`):                                                    "cloud.webhook",
		webhook(`{"field":"` + strings.Repeat("x", 65) + `"}`):                    "cloud.webhook",
		webhook(`null`): "cloud.webhook",
		webhook():       "cloud.webhook",
		`{"object":"whatsapp_business_account","entry":[]}`:                           "cloud.webhook",
		`{"object":"whatsapp_business_account","entry":[7],"Entry":null,"OBJECT":""}`: "cloud.webhook",
	}
	for body, want := range tests {
		e, err := cloud.Decoder{}.Open([]byte(body))
		if err != nil || e.Event != want || e.Instance != "" || string(e.Body) != body {
			t.Errorf("Open(%s) = %q for %q, %v; want %q for nobody", body, e.Event, e.Instance, err, want)
		}
	}
}

func TestOpenRefusesWhatIsNoWebhook(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		``:                             "malformed_json",
		`{} {}`:                        "malformed_json",
		`[]`:                           "malformed_json",
		`{}`:                           "unknown_object",
		`{"object":"page","entry":[]}`: "unknown_object",
		`{"Object":"whatsapp_business_account","entry":[]}`:             "unknown_object",
		`{"object":"whatsapp_business_account"}`:                        "missing_entry",
		`{"object":"whatsapp_business_account","entry":{}}`:             "missing_entry",
		`{"object":"whatsapp_business_account","entry":null}`:           "missing_entry",
		`{"object":"whatsapp_business_account","entry":[],"entry":"x"}`: "missing_entry",
	}
	for body, want := range tests {
		if _, err := (cloud.Decoder{}).Open([]byte(body)); code(err) != want {
			t.Errorf("Open(%s): code %q, want %q", body, code(err), want)
		}
	}
}
