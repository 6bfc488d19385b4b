package sandbox_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestWhatWeReadIsNoted(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for id, from := range map[string]string{"IN1": somebody, "IN2": "9@lid", "IN3": somebody} {
		if _, err := g.Receive(sandbox.Inbound{Instance: "sales", From: from, Text: "x", ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	for id, chat := range map[string]string{"IN1": somebody, "IN2": "9@lid"} {
		a := g.call(t, http.MethodPost, "/chat/markMessageAsRead/sales", fmt.Sprintf(`{"readMessages":[{"remoteJid":%q,"fromMe":false,"id":%q}]}`, chat, id))
		if a.status != http.StatusCreated {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
	for _, m := range g.Received() {
		if m.Read != (m.ID == "IN1") { // Evolution skips LIDs and says nothing
			t.Errorf("%s: read = %t", m.ID, m.Read)
		}
	}
}

func TestWhatPeopleAreShownIsInALogOfItsOwn(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{"sendPresence", `{"number":"5215550001001","presence":"composing","delay":1}`, http.StatusCreated},
		{"sendPresence", `{"number":"7@lid","presence":"recording","delay":0}`, http.StatusCreated},
		{"markMessageAsRead", `{"readMessages":[{"remoteJid":"` + somebody + `","fromMe":false,"id":"A"}]}`, http.StatusCreated},
		{"sendPresence", `{"presence":"composing","delay":1}`, http.StatusBadRequest},
		{"sendPresence", `{"number":"5215550001001","presence":"typing","delay":1}`, http.StatusBadRequest},
		{"sendPresence", `{"number":"5215550001001","presence":"composing"}`, http.StatusBadRequest},
		{"sendPresence", `{"number":"5215550000404","presence":"composing","delay":1}`, http.StatusBadRequest},
		{"markMessageAsRead", `{}`, http.StatusBadRequest},
	} {
		if a := g.call(t, http.MethodPost, "/chat/"+tt.path+"/sales", tt.body); a.status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.path, tt.body, a.status, a.body, tt.status)
		}
	}
	want := []sandbox.Sign{
		{Seq: 1, Instance: "sales", To: "5215550001001@s.whatsapp.net", Shows: "composing", DelayMS: 1},
		{Seq: 2, Instance: "sales", To: "7@lid", Shows: "recording"},
		{Seq: 3, Instance: "sales", To: somebody, Shows: "read", MessageID: "A"},
	}
	if diff := cmp.Diff(want, g.Signs(), cmpopts.IgnoreFields(sandbox.Sign{}, "At")); diff != "" {
		t.Errorf("signs (-want +got):\n%s", diff)
	}
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := g.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		"markMessageAsRead": `{"readMessages":[{"remoteJid":"1@c.us","fromMe":false,"id":"A"}]}`,
		"sendPresence":      `{"number":"5215550001001","presence":"composing","delay":1}`,
	} {
		if a := g.call(t, http.MethodPost, "/chat/"+path+"/sales", body); a.status != http.StatusInternalServerError {
			t.Errorf("%s of a closed session: %d %s", path, a.status, a.body)
		}
	}
	if len(g.Signs()) != 3 {
		t.Error("a closed session shows something")
	}
}
