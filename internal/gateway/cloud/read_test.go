package cloud_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

func TestMarksTellGraph(t *testing.T) {
	t.Parallel()
	const read = `{"messaging_product":"whatsapp","status":"read","message_id":"wamid.1"}`
	const typing = `{"messaging_product":"whatsapp","status":"read","message_id":"wamid.1","typing_indicator":{"type":"text"}}`
	for _, tt := range []struct {
		name string
		give *gateway.Typing // nil: only marked as read
		want string          // the body; empty: nothing is asked
	}{
		{"read", nil, read},
		{"composing", &gateway.Typing{State: gateway.TypingComposing, LastHeard: "wamid.1"}, typing},
		{"recording", &gateway.Typing{State: gateway.TypingRecording, LastHeard: "wamid.1"}, typing},
		{"it cannot be ended", &gateway.Typing{State: gateway.TypingPaused, LastHeard: "wamid.1"}, ""},
		{"nothing was heard", &gateway.Typing{State: gateway.TypingComposing}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var body []byte
			s, a := graph(t, map[string]http.HandlerFunc{"POST /v23.0/100000000000001/messages": func(w http.ResponseWriter, r *http.Request) {
				body, _ = io.ReadAll(r.Body)
				answers(200, `{"success":true}`)(w, r)
			}})
			told, err := true, error(nil)
			if tt.give != nil {
				told, err = s.ShowTyping(t.Context(), a, *tt.give)
			} else {
				err = s.MarkRead(t.Context(), a, "5215550001001@s.whatsapp.net", "wamid.1")
			}
			if err != nil || string(body) != tt.want || told != (tt.want != "") {
				t.Errorf("body %s, want %s; told %v, %v", body, tt.want, told, err)
			}
		})
	}
}

func TestMarkReadSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		kind    fault.Kind
		code    string
	}{
		{"an unknown message", answers(400, `{"error":{"type":"x","code":131009}}`), fault.Invalid, "graph_131009"},
		{"an expired credential", answers(401, `{"error":{"type":"x","code":190}}`), fault.Unavailable, "graph_190"},
		{"a server error", answers(500, ``), fault.Unavailable, "gateway_error"},
		{"a broken connection", hijack(t, func(net.Conn) {}), fault.Unavailable, "connection_lost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, a := graph(t, map[string]http.HandlerFunc{"POST /v23.0/100000000000001/messages": tt.handler})
			err := s.MarkRead(t.Context(), a, "", "wamid.1")
			if f := fault.Of(err); err == nil || f.Kind != tt.kind || f.Code != tt.code {
				t.Errorf("error %v, want %s", err, tt.code)
			}
		})
	}
}
