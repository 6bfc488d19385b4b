package evolution_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

const corpus = "../testdata/corpus"

var update = flag.Bool("update", false, "write the golden files")

// The golden files were read against what the gateway means, one by one. A
// difference is a change of meaning, not a formality.
func TestDecode_corpus(t *testing.T) {
	t.Parallel()
	for _, path := range glob(t, "evolution") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decodeGolden(t, read(t, path))
			file := filepath.Join("testdata", "golden", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, file)), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// decodeGolden renders what Open and Decode make of a body, leaving out what
// is empty.
func decodeGolden(t *testing.T, body []byte) []byte {
	t.Helper()
	var d evolution.Decoder
	e, err := d.Open(body)
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.Decode(e.Event, e.Body)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := json.Marshal(map[string]any{"Event": e.Event, "Instance": e.Instance, "Update": u})
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(rendered, &tree); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(withoutEmpty(tree, 4)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// withoutEmpty leaves the Go side's empty fields out, but not those of a
// message's content, which lies deeper.
func withoutEmpty(tree any, depth int) any {
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			if value == nil || value == "" || value == false || value == "0001-01-01T00:00:00Z" {
				delete(tree, name)
			} else if depth > 0 && name != "Content" {
				tree[name] = withoutEmpty(value, depth-1)
			}
		}
	case []any:
		for i := range tree {
			tree[i] = withoutEmpty(tree[i], depth)
		}
	}
	return tree
}

func TestDecode_unknownEvent(t *testing.T) {
	t.Parallel()
	_, err := evolution.Decoder{}.Decode("messages.teleported", []byte(`{"data":{}}`))
	if got := code(err); got != "unknown_event" {
		t.Errorf("code = %q, want unknown_event", got)
	}
}

// One entry of an update that cannot be used must not lose the others in a
// history, and must hold back everything among new messages.
func TestDecode_partlyUnusable(t *testing.T) {
	t.Parallel()
	const data = `{"data":[{"key":{"remoteJid":"1@lid","id":"A","fromMe":false}},{"key":{}}]}`
	u, err := evolution.Decoder{}.Decode("messages.set", []byte(data))
	if err != nil || len(u.Messages) != 1 || !u.Messages[0].History {
		t.Errorf("messages.set = %+v, %v; want one message", u, err)
	}
	_, err = evolution.Decoder{}.Decode("messages.upsert", []byte(data))
	if got := code(err); got != "missing_message_id" {
		t.Errorf("messages.upsert: code = %q, want missing_message_id", got)
	}
}

func TestOpen_eventNames(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"messages.upsert":           "messages.upsert",
		"MESSAGES_UPSERT":           "messages.upsert",
		"messages-upsert":           "messages.upsert",
		"GROUP_PARTICIPANTS_UPDATE": "group-participants.update",
		"SEND_MESSAGE_UPDATE":       "send.message.update",
		"SEND_MESSAGE":              "send.message",
		"TYPEBOT_CHANGE_STATUS":     "typebot.change-status",
		"MESSAGING_HISTORY_SET":     "messaging-history.set",
		"CALL":                      "call",
		"Some_New_Event":            "some_new_event",
		" messages.upsert ":         " messages.upsert ",
		"../../admin":               "../../admin",
	}
	for give, want := range tests {
		body, _ := json.Marshal(map[string]string{"event": give, "instance": "shop"})
		e, err := evolution.Decoder{}.Open(body)
		if err != nil || e.Event != want {
			t.Errorf("Open(%q) = %q, %v; want %q", give, e.Event, err, want)
		}
	}
}

func TestOpen_redacts(t *testing.T) {
	t.Parallel()
	const (
		give = "{ \"event\":\"error\",\n \"apikey\" : {\"deep\":[\"s3cret\"]}, \"api_key\":\"s3cret\",\"api\\u006bey\":12," +
			"\"data\":{\"hash\":\"s3cret\",\"instance\":{\"token\":\"s3cret\"},\"appStateSyncKeyShare\":{\"keys\":[1]}," +
			"\"message\":{\"orderMessage\":{\"token\":\"kept\"},\"imageMessage\":{\"mediaKey\":\"kept\"}}},\"Apikey\":null}"
		want = "{ \"event\":\"error\",\n \"apikey\" : \"[redacted]\", \"api_key\":\"[redacted]\",\"api\\u006bey\":\"[redacted]\"," +
			"\"data\":{\"hash\":\"[redacted]\",\"instance\":{\"token\":\"[redacted]\"},\"appStateSyncKeyShare\":\"[redacted]\"," +
			"\"message\":{\"orderMessage\":{\"token\":\"kept\"},\"imageMessage\":{\"mediaKey\":\"kept\"}}},\"Apikey\":null}"
	)
	e, err := evolution.Decoder{}.Open([]byte(give))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(e.Body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkDecoder(b *testing.B) {
	body := read(b, filepath.Join(corpus, "evolution", "messages.upsert.conversation.json"))
	var d evolution.Decoder
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := d.Open(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Decode(e.Event, e.Body); err != nil {
			b.Fatal(err)
		}
	}
}

var _ gateway.Decoder = evolution.Decoder{}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func glob(tb testing.TB, folder string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(corpus, folder, "*.json"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no corpus in %s: %v", folder, err)
	}
	return paths
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}
