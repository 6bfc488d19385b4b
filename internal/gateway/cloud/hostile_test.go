package cloud_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

// fate is what becomes of a body: refused by Open, quarantined by Decode,
// stored as messages, or anything else in words.
func fate(body []byte) (string, gateway.Update) {
	var d cloud.Decoder
	e, err := d.Open(body)
	if err != nil {
		return "refused " + code(err), gateway.Update{}
	}
	u, err := d.Decode(e.Event, e.Body)
	switch {
	case err != nil:
		return "quarantined " + code(err), u
	case !u.Handled:
		return "ignored", u
	case len(u.Messages) > 0:
		return fmt.Sprintf("stored %d", len(u.Messages)), u
	}
	return "applied", u
}

// Each of the Cloud API's files of hostile/ with what must become of it, following
// MANIFEST.json. Those of other gateways are refused.
func TestHostile(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"cloud-object-other":               "refused unknown_object",
		"cloud-entry-null":                 "refused missing_entry",
		"cloud-entry-empty":                "quarantined missing_changes",
		"cloud-entry-of-null":              "quarantined missing_changes",
		"cloud-changes-null-value":         "quarantined malformed_data",
		"cloud-phone-number-id-unknown":    "stored 1", // the caller knows that it is nobody's
		"cloud-phone-number-id-int":        "quarantined missing_account",
		"cloud-messages-object":            "quarantined malformed_data",
		"cloud-type-mismatch":              "quarantined missing_content",
		"cloud-text-string":                "quarantined missing_content",
		"cloud-ts-garbage":                 "stored 1",
		"cloud-id-duplicate-in-batch":      "stored 1",
		"cloud-batch-1000":                 "stored 1000",
		"cloud-contacts-fewer":             "stored 1",
		"cloud-status-unknown":             "quarantined unknown_status",
		"cloud-status-noid":                "quarantined missing_message_id",
		"cloud-status-code-string":         "applied", // a code is a code
		"cloud-both-messages-and-statuses": "stored 1",
		"cloud-nul-text":                   "stored 1",
	}
	for _, path := range glob(t, "hostile") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		got, u := fate(read(t, path))
		mustBeStorable(t, u)
		if !strings.HasPrefix(name, "cloud-") {
			if !strings.HasPrefix(got, "refused ") {
				t.Errorf("%s: %s, want it refused: it is another gateway's", name, got)
			}
			continue
		}
		want, listed := tests[name]
		if !listed {
			t.Errorf("%s: nobody says what must become of it", name)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestHostile_details(t *testing.T) {
	t.Parallel()
	hostile := func(name string) gateway.Update {
		_, u := fate(read(t, filepath.Join(corpus, "hostile", name+".json")))
		return u
	}
	if m := hostile("cloud-ts-garbage").Messages[0]; !m.At.IsZero() {
		t.Errorf("cloud-ts-garbage: at %s, want the zero time", m.At)
	}
	if m := hostile("cloud-nul-text").Messages[0]; m.Text != "ab" {
		t.Errorf("cloud-nul-text: text %q, want ab", m.Text)
	}
	if u := hostile("cloud-both-messages-and-statuses"); len(u.Statuses) != 1 {
		t.Errorf("cloud-both-messages-and-statuses: %d statuses, want 1", len(u.Statuses))
	}
	if e := hostile("cloud-status-code-string").Statuses[0]; e.Code != "131047" {
		t.Errorf("cloud-status-code-string: code %q, want 131047", e.Code)
	}
}

// Bodies that are large or deep take time in proportion, and no stack.
func TestHostile_large(t *testing.T) {
	if testing.Short() {
		t.Skip("large bodies")
	}
	t.Parallel()
	message := func(content string) string {
		return webhook(change("messages", `"messages":[{"id":"A","from":"1001",`+content+`}]`))
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	tests := []struct {
		name, body, fate string
	}{
		{"nesting beyond JSON", message(`"type":"x","x":` + deep(100_000)), "refused malformed_json"},
		{"nesting beyond jsonb", message(`"type":"x","x":` + deep(9_000)), "quarantined content_too_large"},
		{"text of 2 MB", message(`"type":"text","text":{"body":"` + strings.Repeat("ñandú", 300_000) + `"}`), "stored 1"},
		{"30,000 members", message(`"type":"x",` + series(30_000, `"k%d":%d`)), "quarantined content_too_large"},
		{"30,000 contacts", webhook(change("messages", `"contacts":[`+series(30_000, `{"wa_id":"52%d","profile":{"name":"n%d"}}`)+`],"statuses":[]`)), "applied"},
		{"20,000 old messages", webhook(change("history", `"history":[{"threads":[{"id":"1001","messages":[`+series(20_000, `{"id":"A%d","from":"1001","type":"text","text":{"body":"%d"}}`)+`]}]}]`)), "stored 20000"},
		{"30,000 aliases", webhook(change("user_id_update", `"user_id_update":[`+series(30_000, `{"wa_id":"1001","user_id":{"previous":"A.%d","current":"B.%d"}}`)+`]`)), "applied"},
		{"30,000 unusable statuses", webhook(change("messages", `"statuses":[`+series(30_000, `{"id":"%d","status":"%d"}`)+`]`)), "quarantined unknown_status"},
	}
	for _, tt := range tests {
		got, u := fate([]byte(tt.body))
		if got != tt.fate {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.fate)
		}
		mustBeStorable(t, u)
	}
}

// series joins n renderings of a format that takes its number twice.
func series(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i, i)
	}
	return b.String()
}
