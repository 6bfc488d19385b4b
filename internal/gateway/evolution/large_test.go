package evolution_test

import (
	"fmt"
	"strings"
	"testing"
)

// The large bodies that MANIFEST.json lists under "generate".
func TestHostile_generated(t *testing.T) {
	if testing.Short() {
		t.Skip("large bodies")
	}
	t.Parallel()
	tests := []struct {
		name string
		body string
		fate string
	}{
		{"nesting-100k", upsert(`{"a":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_001)), "refused malformed_json"},
		{"nesting-array-1m", strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000), "refused malformed_json"},
		{"text-5mb", upsert(`{"conversation":"` + strings.Repeat("ñandú", 750_000) + `"}`), "stored text"},
		{"pushname-1mb", strings.Replace(upsert(`{"conversation":"a"}`), "Ana", strings.Repeat("é", 500_000), 1), "stored text"},
		{"base64-20mb", upsert(`{"imageMessage":{"caption":"c"},"base64":"` + strings.Repeat("A", 20_000_000) + `"}`), "stored image"},
		{"keys-100k", upsert("{" + series(100_000, `"k%d":%d`) + "}"), "quarantined content_too_large"},
		{"idx-bytes-300k", upsert(`{"imageMessage":{"jpegThumbnail":{` + series(300_000, `"%d":%d`) + `},"caption":"c"}}`), "stored image"},
		{"contacts-50k", event("contacts.upsert", "["+series(50_000, `{"remoteJid":"52%d@s.whatsapp.net","pushName":"n%d"}`)+"]"), "applied"},
		{"messages-set-20k", event("messages.set", "["+series(20_000, `{"key":{"remoteJid":"1@lid","fromMe":false,"id":"A%d"},"message":{"conversation":"%d"}}`)+"]"), "applied"},
		{"presence-50k", event("presence.update", `{"id":"1@lid","presences":{`+series(50_000, `"%d@lid":{"lastSeen":%d}`)+"}}"), "ignored"},
	}
	for _, tt := range tests {
		got, u := fate([]byte(tt.body))
		if got != tt.fate {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.fate)
		}
		if len(u.Messages) == 1 {
			mustBeStorable(t, u)
		}
	}
}

func event(name, data string) string {
	return fmt.Sprintf(`{"event":%q,"instance":"shop","data":%s}`, name, data)
}

func upsert(message string) string {
	return event("messages.upsert",
		`{"key":{"remoteJid":"5215550001001@s.whatsapp.net","fromMe":false,"id":"A"},"pushName":"Ana","message":`+message+`}`)
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

func TestDecode_numbersForNumeric(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 300)
	_, u := fate([]byte(upsert(`{"x":{"a":` + long + `,"b":1e400000,"c":1E-20000,"d":-1.5e+10,"e":true,"f":false,"g":null}}`)))
	const format = `{"raw":{"x":{"a":"%s","b":"1e400000","c":"1E-20000","d":-1.5e+10,"e":true,"f":false,"g":null}}}`
	if got, want := string(u.Messages[0].Content), fmt.Sprintf(format, long); got != want {
		t.Errorf("content = %s, want %s", got, want)
	}
}
