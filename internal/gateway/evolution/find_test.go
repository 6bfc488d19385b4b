package evolution_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// store answers findMessages with the given records, so many to a page.
func store(t *testing.T, pages int, records ...string) gateway.Account {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Where struct {
				Timestamp map[string]time.Time `json:"messageTimestamp"`
			} `json:"where"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || len(call.Where.Timestamp) != 2 {
			t.Errorf("the search names no time with two ends: %v", err)
		}
		if r.URL.Path != "/chat/findMessages/sales" || r.Header.Get("Apikey") != "key" {
			t.Errorf("asked %s with %q", r.URL, r.Header.Get("Apikey"))
		}
		_, _ = fmt.Fprintf(w, `{"messages":{"total":9,"pages":%d,"currentPage":1,"records":[%s]}}`, pages, strings.Join(records, ","))
	}))
	t.Cleanup(srv.Close)
	return gateway.Account{Instance: "sales", BaseURL: srv.URL, Credential: "key"}
}

func record(id, jid, text string, at int64) string {
	return fmt.Sprintf(`{"key":{"id":%q,"fromMe":true,"remoteJid":%q},"message":{"conversation":%q},"messageTimestamp":%d}`, id, jid, text, at)
}

func TestFindKnowsAPersonByEveryAddress(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	tests := []struct {
		name, to string
		records  []string
		want     []string
	}{
		{"the same number", "5215550000001@s.whatsapp.net", []string{record("A", "5215550000001@s.whatsapp.net", "Hola", now)}, []string{"A"}},
		{"without Mexico's mobile prefix", "5215550000001@s.whatsapp.net", []string{record("A", "525550000001@s.whatsapp.net", "Hola", now)}, []string{"A"}},
		{"with Brazil's ninth digit", "551187654321@s.whatsapp.net", []string{record("A", "5511987654321@s.whatsapp.net", "Hola", now)}, []string{"A"}},
		{"under a LID", "5215550000001@s.whatsapp.net", []string{record("A", "900000000000001@lid", "Hola", now)}, []string{"A"}},
		{"somebody else", "5215550000001@s.whatsapp.net", []string{record("A", "5215550000002@s.whatsapp.net", "Hola", now)}, []string{}},
		{"somebody else's LID", "5215550000001@s.whatsapp.net", []string{
			fmt.Sprintf(`{"key":{"id":"A","fromMe":true,"remoteJid":"900000000000002@lid","remoteJidAlt":"5215550000002@s.whatsapp.net"},"message":{"conversation":"Hola"},"messageTimestamp":%d}`, now),
		}, []string{}},
		{"a group is no person", "5215550000001@s.whatsapp.net", []string{record("A", "120363000000000001@g.us", "Hola", now)}, []string{}},
		{"another text", "5215550000001@s.whatsapp.net", []string{record("A", "5215550000001@s.whatsapp.net", "Adiós", now)}, []string{}},
		{"long before", "5215550000001@s.whatsapp.net", []string{record("A", "5215550000001@s.whatsapp.net", "Hola", now-60)}, []string{}},
		{"oldest first", "5215550000001@s.whatsapp.net", []string{
			record("B", "5215550000001@s.whatsapp.net", "Hola", now+1), record("A", "5215550000001@s.whatsapp.net", "Hola", now),
		}, []string{"A", "B"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := evolution.NewSender(nil).Find(t.Context(), store(t, 1, tt.records...), gateway.Sought{To: tt.to, Text: "Hola", Since: time.Unix(now, 0)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

func TestANoOfAGatewayThatForgetsIsNoAnswer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sought := gateway.Sought{To: "5215550000001@s.whatsapp.net", Text: "Hola", Since: now, Witness: "W", WitnessAt: now.Add(-time.Minute)}
	if got, err := evolution.NewSender(nil).Find(t.Context(), store(t, 1), sought); err == nil {
		t.Errorf("found %v in a store that does not know what surely was sent", got)
	}
	other := record("W", "5215550000009@s.whatsapp.net", "Adiós", now.Add(-time.Minute).Unix())
	if got, err := evolution.NewSender(nil).Find(t.Context(), store(t, 1, other), sought); err != nil || len(got) != 0 {
		t.Errorf("found %v, %v, want a certain no", got, err)
	}
}

func TestFindSaysWhenItCannotTell(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) gateway.Account {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(srv.Close)
		return gateway.Account{Instance: "sales", BaseURL: srv.URL, Credential: "key"}
	}
	tests := map[string]gateway.Account{
		"an error":         answer(500, `{}`),
		"no JSON":          answer(200, `<html>`),
		"no messages":      answer(200, `{"messages":null}`),
		"another shape":    answer(200, `{"messages":{"pages":1,"records":{}}}`),
		"too many to read": store(t, 1000),
		"nobody there":     {Instance: "sales", BaseURL: "http://127.0.0.1:1", Credential: "key"},
		"no URL":           {Instance: "sales", BaseURL: "nonsense", Credential: "key"},
	}
	for name, account := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := evolution.NewSender(nil).Find(t.Context(), account, gateway.Sought{To: "5215550000001@s.whatsapp.net", Text: "Hola", Since: time.Now()})
			if err == nil {
				t.Errorf("found %v, want an error: it could not tell", got)
			}
		})
	}
}
