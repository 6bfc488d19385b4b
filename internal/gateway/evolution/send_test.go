package evolution_test

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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
)

var _ gateway.Sender = (*evolution.Sender)(nil)

const credential = "SYNTHETIC-CREDENTIAL"

// hello is a message that no gateway's error happens to contain.
func hello() gateway.Outgoing {
	return gateway.Outgoing{To: "5215550001404@s.whatsapp.net", Type: gateway.TypeText, Text: "¿Mañana a las diez?"}
}

func account(baseURL string) gateway.Account {
	return gateway.Account{Instance: "tienda demo", BaseURL: baseURL, Credential: credential}
}

// send posts m to a gateway that answers with handler.
func send(t *testing.T, m gateway.Outgoing, handler http.HandlerFunc) gateway.Answer {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	return evolution.NewSender(server.Client()).Send(t.Context(), account(server.URL), m)
}

func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestSend_request(t *testing.T) {
	t.Parallel()
	tests := []struct {
		give gateway.Outgoing
		want string
	}{
		{hello(), `{"number":"5215550001404","text":"¿Mañana a las diez?"}`},
		{gateway.Outgoing{To: "120363-1@g.us", Type: "text", Text: "a", QuotedID: "3EB0"}, `{"number":"120363-1@g.us","quoted":{"key":{"id":"3EB0"}},"text":"a"}`},
		{gateway.Outgoing{To: "900@lid", Type: "text", Text: "a"}, `{"number":"900@lid","text":"a"}`},
	}
	for _, tt := range tests {
		var path, body, key string
		got := send(t, tt.give, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			path, body, key = r.Method+" "+r.RequestURI, string(b), r.Header.Get("apikey")
			says(201, `{"key":{"id":"3EB0OUT1"}}`)(w, r)
		})
		want := gateway.Answer{Outcome: gateway.Accepted, MessageID: "3EB0OUT1", HTTPStatus: 201}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if path != "POST /message/sendText/tienda%20demo" || key != credential || body != tt.want {
			t.Errorf("request %s with key %q: %s, want %s", path, key, body, tt.want)
		}
	}
}

// Every recorded answer of the send API and of Graph behind the Cloud channel.
func TestSend_corpus(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"restart-200-error":          "retry gateway_error",
		"send-201":                   "accepted ",
		"send-201-graph-error":       "permanent graph_131047",
		"send-400-ambiguous-db":      "in_doubt gateway_store_failed",
		"send-400-connection-closed": "retry connection_closed",
		"send-400-exists-false":      "permanent number_not_on_whatsapp",
		"send-400-network-cloud":     "in_doubt graph_unreachable",
		"send-400-schema":            "permanent invalid_request",
		"send-401":                   "pause bad_credentials",
		"send-403-name-in-use":       "pause bad_credentials",
		"send-404-instance":          "pause instance_not_found",
		"send-500-not-connected":     "retry instance_not_loaded",
		"send-500-not-loaded":        "retry instance_not_loaded",
		"send-503-license":           "pause license_required",
	}
	for _, path := range glob(t, "evolution/http") {
		var recorded struct {
			Status int
			Body   json.RawMessage
		}
		if err := json.Unmarshal(read(t, path), &recorded); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		got := send(t, hello(), says(recorded.Status, string(recorded.Body)))
		if diff := cmp.Diff(want[name], got.Outcome.String()+" "+got.Code); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		mustBeWellFormed(t, got)
	}
}

func TestSend_answers(t *testing.T) {
	t.Parallel()
	// Evolution's shape of an error, in the four forms of its message.
	failed := func(status int, message string) http.HandlerFunc {
		return says(status, fmt.Sprintf(`{"status":%d,"error":"x","response":{"message":%s}}`, status, message))
	}
	graph := func(code int, more string) http.HandlerFunc {
		return says(201, fmt.Sprintf(`{"message":"(#%d) x","type":"OAuthException","code":%d%s}`, code, code, more))
	}
	lid := gateway.Outgoing{To: "900@lid", Type: gateway.TypeText, Text: "a b c"}
	tests := []struct {
		name    string
		give    gateway.Outgoing
		handler http.HandlerFunc
		want    string
		after   time.Duration
	}{
		{name: "id of a wrong type", handler: says(201, `{"key":{"id":7}}`), want: "in_doubt no_message_id"},
		{name: "empty id", handler: says(201, `{"key":{"id":""}}`), want: "in_doubt no_message_id"},
		{name: "id in other case", handler: says(201, `{"Key":{"ID":"A"}}`), want: "in_doubt no_message_id"},
		{name: "success that is no JSON", handler: says(200, `<html>ok</html>`), want: "in_doubt no_message_id"},
		{name: "empty success", handler: says(204, ``), want: "in_doubt no_message_id"},
		{name: "huge success", handler: says(201, `{"x":"`+strings.Repeat("x", 2<<20)+`","key":{"id":"A"}}`), want: "in_doubt no_message_id"},
		{name: "id on an error", handler: says(500, `{"key":{"id":"A"}}`), want: "retry gateway_error"},
		{name: "redirect", handler: says(302, ``, "Location", "/elsewhere"), want: "pause gateway_redirect"},
		{name: "permanent redirect", handler: says(308, ``, "Location", "http://127.0.0.1:1/"), want: "pause gateway_redirect"},

		{name: "rate limit", handler: says(429, ``, "Retry-After", "7"), want: "retry rate_limited", after: 7 * time.Second},
		{name: "rate limit for a year", handler: says(429, ``, "Retry-After", "31536000"), want: "retry rate_limited", after: time.Hour},
		{name: "rate limit without end", handler: says(429, ``, "Retry-After", "18446744073709551615"), want: "retry rate_limited", after: time.Hour},
		{name: "rate limit until a past date", handler: says(429, ``, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), want: "retry rate_limited"},
		{name: "rate limit until a far date", handler: says(429, ``, "Retry-After", "Fri, 02 Jan 2099 15:04:05 GMT"), want: "retry rate_limited", after: time.Hour},
		{name: "rate limit with garbage", handler: says(429, ``, "Retry-After", "-5"), want: "retry rate_limited"},
		{name: "unavailable", handler: says(503, `<html>`, "Retry-After", "9"), want: "retry gateway_error", after: 9 * time.Second},
		{name: "other status with Retry-After", handler: says(500, ``, "Retry-After", "9"), want: "retry gateway_error"},

		{name: "plain 500", handler: failed(500, `"Internal server error"`), want: "retry gateway_error"},
		{name: "500 without a body", handler: says(500, ``), want: "retry gateway_error"},
		{name: "bad gateway", handler: says(502, `<html>`), want: "in_doubt gateway_error"},
		{name: "gateway timeout", handler: says(504, `{"code":504,"message":"Gateway Timeout"}`), want: "in_doubt gateway_error"},
		{name: "500 that timed out", handler: failed(500, `"Timed Out"`), want: "in_doubt gateway_timeout"},
		{name: "timed out", handler: failed(400, `["Error: Timed Out"]`), want: "in_doubt gateway_timeout"},
		{name: "terminated", handler: failed(400, `["Error: Connection Terminated"]`), want: "retry connection_closed"},
		{name: "500 closed", handler: failed(500, `"Connection Closed"`), want: "retry connection_closed"},
		{name: "over limit", handler: failed(400, `["Error: rate-overlimit"]`), want: "retry rate_limited"},
		{name: "unique", handler: failed(400, `["Unique constraint failed"]`), want: "in_doubt gateway_store_failed"},
		{name: "driver", handler: failed(400, `["DriverAdapterError: x"]`), want: "in_doubt gateway_store_failed"},
		{name: "unknown exception", handler: failed(400, `["Error: never seen"]`), want: "in_doubt gateway_error"},
		{name: "validation", handler: failed(400, `["Text is required"]`), want: "permanent invalid_request"},
		{name: "unavailable method", handler: failed(400, `"Method not available on WhatsApp Business API"`), want: "permanent invalid_request"},
		{name: "a proxy's 400", handler: says(400, `<html>`), want: "retry gateway_error"},
		{name: "lid that does not exist", give: lid, handler: failed(400, `[{"jid":"900@lid","exists":false,"number":"900"}]`), want: "retry number_not_on_whatsapp"},
		{name: "endless nesting", handler: failed(400, strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), want: "permanent invalid_request"},

		{name: "graph rate", handler: graph(130429, ""), want: "retry graph_130429"},
		{name: "graph pair", handler: graph(131056, ""), want: "retry graph_131056", after: 6 * time.Second},
		{name: "graph patience", handler: graph(131049, ""), want: "retry graph_131049", after: 24 * time.Hour},
		{name: "graph token", handler: graph(190, ""), want: "pause graph_190"},
		{name: "graph permission", handler: graph(230, ""), want: "pause graph_230"},
		{name: "graph parameter", handler: graph(100, ""), want: "permanent graph_100"},
		{name: "graph transient", handler: graph(100, `,"is_transient":true`), want: "retry graph_100"},
		{name: "graph unknown", handler: graph(999999, ""), want: "retry graph_999999"},
		{name: "graph nested", handler: says(400, `{"error":{"message":"x","type":"OAuthException","code":131026}}`), want: "permanent graph_131026"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.give.To == "" {
				tt.give = hello()
			}
			got := send(t, tt.give, tt.handler)
			if got := got.Outcome.String() + " " + got.Code; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got.RetryAfter != tt.after {
				t.Errorf("RetryAfter = %s, want %s", got.RetryAfter, tt.after)
			}
			mustBeWellFormed(t, got)
		})
	}
}

// Whatever breaks before the request has left is a retry, afterwards a doubt.
func TestSend_broken(t *testing.T) {
	t.Parallel()
	hijack := func(then func(net.Conn)) http.HandlerFunc {
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
	reset := hijack(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	if got := send(t, hello(), reset); got.Outcome != gateway.InDoubt || got.Code != "connection_lost" {
		t.Errorf("reset: %+v", got)
	}
	half := hijack(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"key\"")
	})
	if got := send(t, hello(), half); got.Outcome != gateway.InDoubt || got.Code != "connection_lost" || got.HTTPStatus != 201 {
		t.Errorf("half an answer: %+v", got)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if got := evolution.NewSender(nil).Send(t.Context(), account(closed.URL), hello()); got.Outcome != gateway.Retry || got.Code != "connect_failed" {
		t.Errorf("refused: %+v", got)
	}
	if got := evolution.NewSender(nil).Send(t.Context(), account("http://gateway.invalid"), hello()); got.Outcome != gateway.Retry || got.Code != "connect_failed" {
		t.Errorf("no such host: %+v", got)
	}
	plain := httptest.NewServer(says(201, `{"key":{"id":"A"}}`))
	defer plain.Close()
	https := strings.Replace(plain.URL, "http:", "https:", 1)
	if got := evolution.NewSender(nil).Send(t.Context(), account(https), hello()); got.Outcome != gateway.Retry || got.Code != "connect_failed" {
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
	got := evolution.NewSender(nil).Send(ctx, account(server.URL), hello())
	if got.Outcome != gateway.InDoubt || got.Code != "timeout" {
		t.Errorf("%+v, want in doubt, timeout", got)
	}
	// With the time already up nothing is sent at all.
	got = evolution.NewSender(nil).Send(ctx, account(server.URL), hello())
	if got.Outcome != gateway.Retry {
		t.Errorf("%+v, want retry", got)
	}
}

func TestSend_refusesBeforehand(t *testing.T) {
	t.Parallel()
	never := func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }
	for _, tt := range []struct {
		to, kind, want string
	}{
		{"5215550001404@s.whatsapp.net", gateway.TypeTemplate, "permanent content_unsupported"},
		{"5215550001404", gateway.TypeText, "permanent invalid_recipient"},
		{"../../x@s.whatsapp.net", gateway.TypeText, "permanent invalid_recipient"},
		{"abc@s.whatsapp.net", gateway.TypeText, "permanent invalid_recipient"},
		{"status@broadcast", gateway.TypeText, "permanent invalid_recipient"},
	} {
		got := send(t, gateway.Outgoing{To: tt.to, Type: tt.kind, Text: "a"}, never)
		if got := got.Outcome.String() + " " + got.Code; got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.to, tt.kind, got, tt.want)
		}
	}
	for _, url := range []string{"", "::", "ftp://x", "/relative"} {
		got := evolution.NewSender(nil).Send(t.Context(), account(url), hello())
		if got.Outcome != gateway.Pause || got.Code != "invalid_base_url" {
			t.Errorf("base URL %q: %+v", url, got)
		}
	}
	broken := account("http://127.0.0.1:1")
	broken.Credential = "two\nlines"
	if got := evolution.NewSender(nil).Send(t.Context(), broken, hello()); got.Code != "bad_credentials" {
		t.Errorf("credential of two lines: %+v", got)
	}
}
