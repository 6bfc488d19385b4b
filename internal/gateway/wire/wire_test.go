package wire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

func TestObjectsAreReadByExactNames(t *testing.T) {
	t.Parallel()
	o, err := wire.Open([]byte(" {\"a\" : \"1\", \"A\":\"2\",\"\\u0061\": \"3\\ud83d\\ude00\" ,\"n\":null,\"l\":[1, [2,\"]\"] ,{\"x\":\"}\"}],\"o\":{\"b\":true}} "))
	if err != nil {
		t.Fatal(err)
	}
	var elements []string
	for element := range wire.Elements(o.Get("l")) {
		elements = append(elements, string(element))
	}
	got := map[string]any{
		"a": o.Text("a"), "missing": o.Text("b"), "null": wire.IsNull(o.Get("n")) && wire.IsNull(o.Get("b")),
		"list": elements, "is list": wire.IsArray(o.Get("l")), "first": string(wire.First(o.Get("l"))),
		"deeper": wire.IsTrue(o.Object("o").Get("b")), "no object": o.Object("l") == nil && o.Object("a") == nil,
	}
	want := map[string]any{
		"a": "3😀", "missing": "", "null": true, "list": []string{"1", `[2,"]"]`, `{"x":"}"}`}, "is list": true, "first": "1", "deeper": true, "no object": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, body := range []string{``, `[]`, `"x"`, `{} {}`, `{`, strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)} {
		if _, err := wire.Open([]byte(body)); err == nil || fault.Of(err).Code != "malformed_json" {
			t.Errorf("Open(%.20s) = %v, want malformed_json", body, err)
		}
	}
}

func TestNumberReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`7`: "7", `"7"`: "7", `-7.9`: "-7", `1e3`: "1000", `"1763880000"`: "1763880000", `9007199254740993`: "9007199254740993",
		`"x"`: "no", `{}`: "no", `null`: "no", `true`: "no", `""`: "no", `"NaN"`: "no", `"Inf"`: "no", `1e400`: "no", `99999999999999999999`: "no",
	}
	for raw, want := range tests {
		got := "no"
		if n, ok := wire.Number(json.RawMessage(raw)); ok {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("Number(%s) = %s, want %s", raw, got, want)
		}
	}
}

func TestTimeTakesCredibleDates(t *testing.T) {
	t.Parallel()
	at := time.Unix(1763880000, 0).UTC()
	tests := map[int64]time.Time{
		1763880000: at, 1763880000999: at, 1763880000999999: at,
		0: {}, -1: {}, 1230767999: {}, 4102444800: {}, 1763880000999999999: {},
	}
	for n, want := range tests {
		if got := wire.Time(n); !got.Equal(want) {
			t.Errorf("Time(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestTextBecomesStorable(t *testing.T) {
	t.Parallel()
	got := []string{
		wire.Sanitize("a\x00ñb", 2), wire.Sanitize("ñ", 5), wire.FirstRunes("ñandú", 3), wire.FirstRunes("ñ", 0),
		wire.OneLine(" a\r\n\tb\x00c\xff "), wire.MaskNumbers("call 5215550001 or 1234567, +52 155500012345"),
	}
	want := []string{"añ", "ñ", "ñan", "", "a b c\uFFFD", "call [number] or 1234567, +52 [number]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStorableMendsWhatPostgreSQLRefuses(t *testing.T) {
	t.Parallel()
	isNoise := func(name []byte) bool { return string(name) == "noise" }
	tests := []struct{ give, want string }{
		{`{ "a" : "x\u0000y" , "noise":{"b":[1]}, "c":[true , null,-1.5e+10, 1e400]}`, `{"a":"xy","c":[true,null,-1.5e+10,"1e400"]}`},
		{`"\ud800"`, "\"\uFFFD\""},
		{`{"noise":1}`, `{}`},
		{`[` + strings.Repeat("9", 40) + `]`, `["` + strings.Repeat("9", 40) + `"]`},
		{strings.Repeat("[", 101) + strings.Repeat("]", 101), strings.Repeat("[", 101) + strings.Repeat("]", 101)},
		{strings.Repeat("[", 102) + strings.Repeat("]", 102), ""},
		{`"` + strings.Repeat("x", wire.MaxContentBytes) + `"`, ""},
	}
	for _, tt := range tests {
		got, ok := wire.Storable(json.RawMessage(tt.give), isNoise)
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("Storable(%.60s) = %.60s, %v; want %.60s", tt.give, got, ok, tt.want)
		}
	}
	if got, _ := wire.Storable(json.RawMessage(`{"noise":1}`), nil); string(got) != `{"noise":1}` {
		t.Errorf("without noise: %s", got)
	}
}

func TestMessageIDIsOpaqueText(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`"../../a\n"`: "", `" "`: "", `"` + strings.Repeat("a", 128) + `"`: "",
		``: "missing_message_id", `null`: "missing_message_id", `""`: "invalid_message_id", `7`: "invalid_message_id",
		`"a\u0000"`: "invalid_message_id", `"` + strings.Repeat("a", 129) + `"`: "invalid_message_id",
	}
	for raw, want := range tests {
		got := ""
		if _, err := wire.MessageID(json.RawMessage(raw)); err != nil {
			got = fault.Of(err).Code
		}
		if got != want {
			t.Errorf("MessageID(%.20s): %q, want %q", raw, got, want)
		}
	}
}

func TestRequestsGoToWebServersOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"http://x/a": true, "https://x/a": true, "HTTPS://x/a": true,
		"": false, "x": false, "/a": false, "ftp://x/a": false, "httpx://x/a": false, "http:///a": false, "::": false, "http://x\n/": false,
	} {
		if _, err := wire.NewRequest(t.Context(), http.MethodGet, address, http.NoBody); (err == nil) != want {
			t.Errorf("NewRequest(%q) = %v, want success: %v", address, err, want)
		}
	}
	if wire.IsHeaderSafe("a\nb") || !wire.IsHeaderSafe("a b") {
		t.Error("a credential is judged wrongly")
	}
}

func TestExchangeTellsDoubtFromCertainty(t *testing.T) {
	t.Parallel()
	cut := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_, _ = io.WriteString(conn, answer)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc // nil: nobody listens
		want    wire.Lost
	}{
		{"nobody listens", nil, wire.Lost{Outcome: gateway.Retry, Code: "connect_failed"}},
		{"no answer", cut(""), wire.Lost{Outcome: gateway.InDoubt, Code: "connection_lost"}},
		{"half an answer", cut("HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nx"), wire.Lost{Outcome: gateway.InDoubt, Code: "connection_lost", Status: 201}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			if tt.handler == nil {
				server.Close()
			}
			request, err := wire.NewRequest(t.Context(), http.MethodPost, server.URL, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			_, lost := wire.Exchange(server.Client(), request)
			if lost == nil || lost.Cause == "" || strings.Contains(lost.Cause, server.URL) {
				t.Fatalf("%+v, want a cause without the URL", lost)
			}
			lost.Cause = ""
			if diff := cmp.Diff(tt.want, *lost); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExchangeFollowsNobody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Errorf("followed to %s", r.URL)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	request, err := wire.NewRequest(t.Context(), http.MethodPost, server.URL+"/", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	reply, lost := wire.Exchange(wire.WithoutRedirects(nil), request)
	if lost != nil || reply.Status != http.StatusTemporaryRedirect {
		t.Errorf("%+v, %+v; want the redirect itself", reply, lost)
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "7", 7 * time.Second},
		{503, " 7 ", 7 * time.Second},
		{500, "7", 0},
		{429, "", 0},
		{429, "-7", 0},
		{429, "18446744073709551615", time.Hour},
		{429, "Mon, 02 Jan 2006 15:04:05 GMT", 0},
		{429, "Fri, 02 Jan 2099 15:04:05 GMT", time.Hour},
	}
	for _, tt := range tests {
		header := http.Header{"Retry-After": {tt.header}}
		if got := wire.RetryAfter(tt.status, header); got != tt.want {
			t.Errorf("RetryAfter(%d, %q) = %s, want %s", tt.status, tt.header, got, tt.want)
		}
	}
}

func TestReasonsKeepSecrets(t *testing.T) {
	t.Parallel()
	p := wire.PrivacyOf("s3cret-credential", "", "una línea\ny \"otra\" más", "  ")
	tests := map[string]string{
		"all is well":                      "Why. (all is well)",
		"":                                 "Why.",
		"with s3cret-credential":           "Why.",
		"with s3cret-credential-and":       "Why.",
		`says "una línea\ny \"otra\" más"`: "Why.",
		"says una línea y \"otra\"":        "Why.",
		"to 5215550001001\n\x00 now":       "Why. (to [number] now)",
	}
	for said, want := range tests {
		if got := p.Reason("Why.", said); got != want {
			t.Errorf("Reason(%q) = %q, want %q", said, got, want)
		}
	}
	if got := p.Reason("Why.", strings.Repeat("é", 500)); len([]rune(got)) != 300 {
		t.Errorf("reason of %d runes, want 300", len([]rune(got)))
	}
}
