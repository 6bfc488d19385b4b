package cloud_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
)

const credential = "SYNTHETIC-CREDENTIAL"

// hello is a message that no error of Graph happens to contain.
func hello() gateway.Outgoing {
	return gateway.Outgoing{ID: "0190", To: "5215550001404@s.whatsapp.net", Type: gateway.TypeText, Text: "¿Mañana a las diez?"}
}

func account(baseURL string) gateway.Account {
	return gateway.Account{Instance: "100000000000001", BaseURL: baseURL + "/v23.0", Credential: credential}
}

// send posts m to a Graph that answers with handler.
func send(t *testing.T, m gateway.Outgoing, handler http.HandlerFunc) gateway.Answer {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	return cloud.NewSender(server.Client()).Send(t.Context(), account(server.URL), m)
}

func answers(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestSendCallsGraph(t *testing.T) {
	t.Parallel()
	var path, auth, contentType string
	got := send(t, hello(), func(w http.ResponseWriter, r *http.Request) {
		path, auth, contentType = r.Method+" "+r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type")
		answers(200, `{"messages":[{"id":"wamid.1","message_status":"held_for_quality_assessment"}]}`)(w, r)
	})
	want := gateway.Answer{Outcome: gateway.Accepted, MessageID: "wamid.1", HTTPStatus: 200}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if path != "POST /v23.0/100000000000001/messages" || auth != "Bearer "+credential || contentType != "application/json" {
		t.Errorf("asked %s with %q and %q", path, auth, contentType)
	}
}

// Every recorded answer of Graph to a send.
func TestSend_corpus(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"send-200":          "accepted ",
		"send-200-held":     "accepted ",
		"send-200-template": "accepted ",
		"send-err-1":        "retry graph_1",
		"send-err-2":        "retry graph_2",
		"send-err-4":        "retry graph_4 instance slow",
		"send-err-10":       "pause graph_10",
		"send-err-100":      "permanent graph_100",
		"send-err-190":      "pause graph_190",
		"send-err-368":      "pause graph_368",
		"send-err-80007":    "retry graph_80007 instance slow",
		"send-err-130429":   "retry graph_130429 instance slow",
		"send-err-131000":   "retry graph_131000",
		"send-err-131008":   "permanent graph_131008",
		"send-err-131009":   "permanent graph_131009",
		"send-err-131016":   "retry graph_131016",
		"send-err-131021":   "permanent graph_131021",
		"send-err-131026":   "permanent graph_131026",
		"send-err-131030":   "permanent graph_131030",
		"send-err-131031":   "pause graph_131031",
		"send-err-131042":   "pause graph_131042",
		"send-err-131047":   "permanent graph_131047",
		"send-err-131048":   "pause graph_131048",
		"send-err-131049":   "retry graph_131049 after 24h0m0s",
		"send-err-131051":   "permanent graph_131051",
		"send-err-131053":   "permanent graph_131053",
		"send-err-131056":   "retry graph_131056 chat after 6s",
		"send-err-132001":   "permanent graph_132001",
		"send-err-132015":   "permanent graph_132015",
		"send-err-133004":   "retry graph_133004",
		"send-err-133010":   "pause graph_133010",
		"send-err-html":     "in_doubt gateway_error",
	}
	for _, path := range glob(t, "cloudapi/http") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recorded struct {
				Status int
				Body   json.RawMessage
			}
			if err := json.Unmarshal(read(t, path), &recorded); err != nil {
				t.Fatal(err)
			}
			body := string(recorded.Body)
			if page := ""; json.Unmarshal(recorded.Body, &page) == nil {
				body = page // what is no JSON is recorded as a text
			}
			got := send(t, hello(), answers(recorded.Status, body))
			if diff := cmp.Diff(want[name], verdict(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			mustBeWellFormed(t, got)
		})
	}
}

// verdict is an answer in short: "retry graph_131056 chat after 6s".
func verdict(a gateway.Answer) string {
	short := a.Outcome.String() + " " + a.Code
	switch a.Scope {
	case gateway.ScopeInstance:
		short += " instance"
	case gateway.ScopeChat:
		short += " chat"
	case gateway.ScopeMessage:
	}
	if a.Slow {
		short += " slow"
	}
	if a.RetryAfter > 0 {
		short += " after " + a.RetryAfter.String()
	}
	return short
}

func TestSendJudgesByWhatTheAnswerSays(t *testing.T) {
	t.Parallel()
	graph := func(status, code int, more string) http.HandlerFunc {
		return answers(status, fmt.Sprintf(`{"error":{"message":"(#%d) x","type":"OAuthException","code":%d%s}}`, code, code, more), "Retry-After", "7")
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"id of a wrong type", answers(200, `{"messages":[{"id":7}]}`), "in_doubt no_message_id"},
		{"empty id", answers(200, `{"messages":[{"id":""}]}`), "in_doubt no_message_id"},
		{"id of the second message", answers(200, `{"messages":[{},{"id":"A"}]}`), "in_doubt no_message_id"},
		{"no messages", answers(200, `{"messages":[]}`), "in_doubt no_message_id"},
		{"id in other case", answers(200, `{"Messages":[{"ID":"A"}]}`), "in_doubt no_message_id"},
		{"success that is no JSON", answers(200, `<html>ok</html>`), "in_doubt no_message_id"},
		{"empty success", answers(204, ``), "in_doubt no_message_id"},
		{"huge success", answers(200, `{"x":"`+strings.Repeat("x", 2<<20)+`","messages":[{"id":"A"}]}`), "in_doubt no_message_id"},
		{"id on an error", answers(500, `{"messages":[{"id":"A"}]}`), "in_doubt gateway_error"},
		{"error on a success", graph(200, 131026, ""), "permanent graph_131026"},
		{"redirect", answers(302, ``, "Location", "/elsewhere"), "pause gateway_redirect"},
		{"permanent redirect", answers(308, `{"error":{"type":"x","code":1}}`, "Location", "http://127.0.0.1:1/"), "pause gateway_redirect"},

		{"the code counts, not the status", graph(500, 100, ""), "permanent graph_100"},
		{"a number that does not exist", graph(400, 100, `,"error_subcode":33`), "pause graph_100"},
		{"a parameter of another kind", graph(400, 100, `,"error_subcode":2494010`), "permanent graph_100"},
		{"Graph says it will pass", graph(400, 100, `,"is_transient":true`), "retry graph_100"},
		{"a permission", graph(403, 230, ""), "pause graph_230"},
		{"a code that nobody described", graph(400, 999999, ""), "retry graph_999999"},
		{"a rate with a wait", graph(429, 130429, ""), "retry graph_130429 instance slow after 7s"},
		{"a pair's own wait", graph(429, 131056, ""), "retry graph_131056 chat after 6s"},
		{"a code that is a text", answers(400, `{"error":{"type":"x","code":"131047"}}`), "permanent graph_131047"},

		{"a proxy's rate limit", answers(429, ``, "Retry-After", "7"), "retry rate_limited instance slow after 7s"},
		{"a proxy's refusal", answers(403, `<html>`), "pause bad_credentials"},
		{"a proxy's not found", answers(404, `<html>`), "pause instance_not_found"},
		{"a proxy's bad request", answers(400, `<html>`), "retry gateway_error"},
		{"a proxy's code", answers(400, `{"error":{"code":100}}`), "retry gateway_error"},
		{"a proxy's timeout", answers(504, `{"code":504}`), "in_doubt gateway_error"},
		{"a client's timeout", answers(408, ``), "in_doubt gateway_error"},
		{"an error that is no Graph error", answers(500, `{}`), "in_doubt gateway_error"},
		{"endless nesting", answers(400, strings.Repeat(`{"error":`, 5000)+"1"+strings.Repeat("}", 5000)), "retry gateway_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, hello(), tt.handler)
			if diff := cmp.Diff(tt.want, verdict(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			mustBeWellFormed(t, got)
		})
	}
}

// hijack answers with what then does to the connection, once the request has been
// read.
func hijack(t *testing.T, then func(net.Conn)) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		then(conn)
	}
}

// Whatever breaks before the request has left is a retry, afterwards a doubt.
func TestSend_broken(t *testing.T) {
	t.Parallel()
	reset := hijack(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	if got := send(t, hello(), reset); verdict(got) != "in_doubt connection_lost" {
		t.Errorf("reset: %+v", got)
	}
	half := hijack(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"messages\"")
	})
	if got := send(t, hello(), half); verdict(got) != "in_doubt connection_lost" || got.HTTPStatus != 200 {
		t.Errorf("half an answer: %+v", got)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if got := cloud.NewSender(nil).Send(t.Context(), account(closed.URL), hello()); verdict(got) != "retry connect_failed instance" {
		t.Errorf("refused: %+v", got)
	}
	if got := cloud.NewSender(nil).Send(t.Context(), account("http://graph.invalid"), hello()); verdict(got) != "retry connect_failed instance" {
		t.Errorf("no such host: %+v", got)
	}
	plain := httptest.NewServer(answers(200, `{"messages":[{"id":"A"}]}`))
	defer plain.Close()
	https := strings.Replace(plain.URL, "http:", "https:", 1)
	if got := cloud.NewSender(nil).Send(t.Context(), account(https), hello()); verdict(got) != "retry connect_failed instance" {
		t.Errorf("TLS to a plain server: %+v", got)
	}
}

func TestSend_hang(t *testing.T) {
	t.Parallel()
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx := gatewaytest.Until(t.Context(), arrived)
	if got := cloud.NewSender(nil).Send(ctx, account(server.URL), hello()); verdict(got) != "in_doubt timeout" {
		t.Errorf("%+v, want in doubt, timeout", got)
	}
	// With the time already up nothing is sent at all.
	if got := cloud.NewSender(nil).Send(ctx, account(server.URL), hello()); got.Outcome != gateway.Retry {
		t.Errorf("%+v, want retry", got)
	}
}

func TestSend_accountsThatCannotSend(t *testing.T) {
	t.Parallel()
	change := func(f func(*gateway.Account)) gateway.Account {
		a := account("http://127.0.0.1:1")
		f(&a)
		return a
	}
	tests := []struct {
		name string
		give gateway.Account
		want string
	}{
		{"no base URL", change(func(a *gateway.Account) { a.BaseURL = "" }), "pause invalid_base_url"},
		{"no URL", change(func(a *gateway.Account) { a.BaseURL = "::" }), "pause invalid_base_url"},
		{"no HTTP", change(func(a *gateway.Account) { a.BaseURL = "ftp://x" }), "pause invalid_base_url"},
		{"no host", change(func(a *gateway.Account) { a.BaseURL = "/relative" }), "pause invalid_base_url"},
		{"no number", change(func(a *gateway.Account) { a.Instance = "" }), "pause instance_not_found"},
		{"another folder", change(func(a *gateway.Account) { a.Instance = ".." }), "pause instance_not_found"},
		{"no credential", change(func(a *gateway.Account) { a.Credential = "" }), "pause bad_credentials"},
		{"a credential of two lines", change(func(a *gateway.Account) { a.Credential = "two\nlines" }), "pause bad_credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := cloud.NewSender(nil).Send(t.Context(), tt.give, hello())
			if diff := cmp.Diff(tt.want, verdict(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			mustBeWellFormed(t, got)
		})
	}
}
