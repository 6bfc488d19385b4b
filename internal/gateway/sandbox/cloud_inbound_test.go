package sandbox_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	wall "github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

// What is injected as it was recorded is understood as what was recorded.
func TestAnyMessageOfMetasCanBeInjected(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "corpus", "cloudapi", "messages.*.json"))
	if err != nil || len(paths) < 20 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorded := cloudExample(t, name)
			sink := newSink(t, nil)
			g := newGraph(t, func(n *sandbox.CloudNumber) {
				n.PhoneNumberID, n.Instance = "100000000000001", "sales"
				to(sink)(n)
			})
			for _, in := range injections(t, recorded) {
				if _, err := g.ReceiveOnCloud(in); err != nil {
					t.Fatal(err)
				}
			}
			want := decodeUpdate(t, recorded)
			got := updates(t, sink, len(want.Messages))
			byID := func(a, b wall.Message) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(want.Messages, byID)
			slices.SortFunc(got.Messages, byID)
			if diff := cmp.Diff(want.Messages, got.Messages, cmp.Comparer(sameJSON)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if log := g.Received(); len(log) != len(want.Messages) {
				t.Errorf("%d received, want %d", len(log), len(want.Messages))
			}
		})
	}
}

// injections are the messages of a recorded body.
func injections(t *testing.T, recorded []byte) (list []sandbox.CloudInbound) {
	t.Helper()
	var body struct {
		Entry []struct {
			Changes []struct {
				Value struct {
					Contacts []struct {
						Profile struct{ Name, Username string }
						WAID    string `json:"wa_id"`
						UserID  string `json:"user_id"`
					}
					Messages []json.RawMessage
				}
			}
		}
	}
	if err := json.Unmarshal(recorded, &body); err != nil {
		t.Fatal(err)
	}
	for _, entry := range body.Entry {
		value := entry.Changes[0].Value
		for i, message := range value.Messages {
			in := sandbox.CloudInbound{PhoneNumberID: "100000000000001", From: text(t, message, "from"), Message: message}
			if i < len(value.Contacts) {
				c := value.Contacts[i]
				in.From, in.UserID, in.Name, in.Username = c.WAID, c.UserID, c.Profile.Name, c.Profile.Username
			}
			list = append(list, in)
		}
	}
	return list
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(a, b)
	}
	return cmp.Equal(x, y)
}

func TestAnInjectionSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	const to9, ours = `{"phone_number_id":"9"`, `{"phone_number_id":"` + numberID + `"`
	for body, field := range map[string]string{
		`{"from":"1"}`:                                            "phone_number_id",
		to9 + `}`:                                                 "from",
		to9 + `,"from":"+1"}`:                                     "from",
		to9 + `,"from":"1"}`:                                      "message",
		to9 + `,"from":"1","user_id":"a@b"}`:                      "user_id",
		to9 + `,"from":"1","message":{}}`:                         "message.type",
		to9 + `,"from":"1","message":{"type":"text"}}`:            "message.text",
		to9 + `,"from":"1","message":{"type":"text","text":{}}}`:  "phone_number_id",
		to9 + `,"from":"1","message":{"type":"image"},"file":{}}`: "file.mime_type",
		to9 + `,"from":"1","mesage":{}}`:                          "mesage",
		ours + `,"from":"1","message":{"type":"image","image":1},"file":{"mime_type":"x"}}`: "message.image",
	} {
		a := g.call(t, http.MethodPost, "/sandbox/cloud/inbound", body)
		if a.status != http.StatusBadRequest || !strings.HasPrefix(text(t, a.body, "error"), field+":") {
			t.Errorf("%s: %d %s, want 400 about %s", body, a.status, a.body, field)
		}
	}
	a := g.call(t, http.MethodPost, "/sandbox/cloud/inbound",
		`{"phone_number_id":"`+numberID+`","from":"5215550001001","message":{"type":"image","id":"wamid.X"},"file":{"mime_type":"image/png","base64":"aGk="}}`)
	if a.status != http.StatusAccepted || text(t, a.body, "id") != "wamid.X" {
		t.Errorf("got %d %s, want 202 with the id", a.status, a.body)
	}
}
