package cloud_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

// graph is a server that answers by path; what it does not know is an error.
func graph(t *testing.T, paths map[string]http.HandlerFunc) (*cloud.Sender, gateway.Account) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, known := paths[r.Method+" "+r.URL.Path]
		if !known || r.Header.Get("Authorization") != "Bearer "+credential {
			t.Errorf("unexpected %s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
			return
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return cloud.NewSender(server.Client()), account(server.URL)
}

func TestOpenMediaFetchesTheFile(t *testing.T) {
	t.Parallel()
	var base, query string
	s, a := graph(t, map[string]http.HandlerFunc{
		"GET /v23.0/9100": func(w http.ResponseWriter, r *http.Request) {
			query = r.URL.RawQuery
			_, _ = fmt.Fprintf(w, `{"url":%q,"mime_type":"image/jpeg","file_size":"5","id":"9100"}`, base+"/file?ext=1")
		},
		"GET /file": answers(200, "bytes", "Content-Type", "image/png"),
	})
	base = strings.TrimSuffix(a.BaseURL, "/v23.0")
	file, contentType, size, err := s.OpenMedia(t.Context(), a, "9100")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil || string(content) != "bytes" || contentType != "image/png" || size != 5 {
		t.Errorf("%q, %q, %d, %v", content, contentType, size, err)
	}
	if query != "phone_number_id=100000000000001" {
		t.Errorf("asked for %q", query)
	}
}

func TestOpenMediaBelievesGraphWhereTheFileIsSilent(t *testing.T) {
	t.Parallel()
	var base string
	s, a := graph(t, map[string]http.HandlerFunc{
		"GET /v23.0/9100": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"url":%q,"mime_type":"image/jpeg","file_size":7}`, base+"/file")
		},
		"GET /file": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.(http.Flusher).Flush() // of a length that is not told
		},
	})
	base = strings.TrimSuffix(a.BaseURL, "/v23.0")
	file, contentType, size, err := s.OpenMedia(t.Context(), a, "9100")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if contentType != "image/jpeg" || size != 7 {
		t.Errorf("%q, %d; want image/jpeg, 7", contentType, size)
	}
}

func TestOpenMediaSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	const refusal = `{"error":{"message":"x","type":"OAuthException","code":%d%s}}`
	expired := fmt.Sprintf(refusal, 100, `,"error_subcode":33`)
	tests := []struct {
		name  string
		id    string
		about http.HandlerFunc // nil: Graph knows the file
		file  http.HandlerFunc
		kind  fault.Kind
		code  string
	}{
		{name: "an id that is a path", id: "../9100", kind: fault.NotFound, code: "media_gone"},
		{name: "no id", id: "", kind: fault.NotFound, code: "media_gone"},
		{name: "unknown", id: "9100", about: answers(400, expired), kind: fault.NotFound, code: "graph_100"},
		{name: "somebody else's", id: "9100", about: answers(400, fmt.Sprintf(refusal, 100, "")), kind: fault.NotFound, code: "graph_100"},
		{name: "Meta could not get it", id: "9100", about: answers(400, fmt.Sprintf(refusal, 131052, "")), kind: fault.NotFound, code: "graph_131052"},
		{name: "an expired credential", id: "9100", about: answers(401, fmt.Sprintf(refusal, 190, "")), kind: fault.Unavailable, code: "graph_190"},
		{name: "too fast", id: "9100", about: answers(429, fmt.Sprintf(refusal, 4, "")), kind: fault.Unavailable, code: "graph_4"},
		{name: "a server error", id: "9100", about: answers(503, `<html>`), kind: fault.Unavailable, code: "gateway_error"},
		{name: "an answer that is none", id: "9100", about: answers(200, `<html>`), kind: fault.Unavailable, code: "no_media_url"},
		{name: "no URL", id: "9100", about: answers(200, `{}`), kind: fault.Unavailable, code: "no_media_url"},
		{name: "a broken connection", id: "9100", about: hijack(t, func(net.Conn) {}), kind: fault.Unavailable, code: "connection_lost"},
		{name: "the URL has expired", id: "9100", file: answers(404, ``), kind: fault.NotFound, code: "media_gone"},
		{name: "the file is gone", id: "9100", file: answers(410, ``), kind: fault.NotFound, code: "media_gone"},
		{name: "the file's server fails", id: "9100", file: answers(500, ``), kind: fault.Unavailable, code: "gateway_error"},
		{name: "the file is elsewhere", id: "9100", file: answers(302, ``, "Location", "http://127.0.0.1:1/"), kind: fault.Unavailable, code: "gateway_redirect"},
		{name: "the file's connection breaks", id: "9100", file: hijack(t, func(net.Conn) {}), kind: fault.Unavailable, code: "connect_failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var base string
			about := tt.about
			if about == nil {
				about = func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"url":%q}`, base+"/file") }
			}
			s, a := graph(t, map[string]http.HandlerFunc{"GET /v23.0/9100": about, "GET /file": tt.file})
			base = strings.TrimSuffix(a.BaseURL, "/v23.0")
			_, _, _, err := s.OpenMedia(t.Context(), a, tt.id)
			f := fault.Of(err)
			if err == nil || f.Kind != tt.kind || f.Code != tt.code {
				t.Errorf("error %v, want %s", err, tt.code)
			}
			if strings.Contains(fmt.Sprint(err), credential) || strings.Contains(fmt.Sprint(err), "/file") {
				t.Errorf("error %v tells too much", err)
			}
		})
	}
}

// The credential never travels in the open because Graph named such an address.
func TestOpenMediaKeepsTheCredentialEncrypted(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked in the open") }))
	defer plain.Close()
	for _, address := range []string{plain.URL, "ftp://x.invalid/", "//x.invalid", "HTTP://x.invalid", ""} {
		server := httptest.NewTLSServer(answers(200, fmt.Sprintf(`{"url":%q}`, address)))
		_, _, _, err := cloud.NewSender(server.Client()).OpenMedia(t.Context(), account(server.URL), "9100")
		server.Close()
		if code(err) != "no_media_url" {
			t.Errorf("%q: %v, want no_media_url", address, err)
		}
	}
}

func TestProbeAsksForTheNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string // the beginning of the error; empty for none
	}{
		{"there it is", func(w http.ResponseWriter, r *http.Request) {
			answers(200, `{"id":"100000000000001"}`)(w, r)
			if r.URL.RawQuery != "fields=id" {
				t.Errorf("asked for %q", r.URL.RawQuery)
			}
		}, ""},
		{"no id", answers(200, `{"ID":"1"}`), "the Cloud API answered without"},
		{"no JSON", answers(200, `<html>`), "the Cloud API answered without"},
		{"an expired credential", answers(401, `{"error":{"message":"token `+credential+` expired","type":"x","code":190}}`), "graph_190: The Cloud API refused the request."},
		{"a redirect", answers(301, ``, "Location", "/x"), "gateway_redirect: "},
		{"a broken connection", hijack(t, func(net.Conn) {}), "connection_lost: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, a := graph(t, map[string]http.HandlerFunc{"GET /v23.0/100000000000001": tt.handler})
			err := s.Probe(t.Context(), a)
			if err == nil {
				err = errors.New("")
			}
			if got := err.Error(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" || strings.Contains(got, credential) {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
	if err := cloud.NewSender(nil).Probe(t.Context(), gateway.Account{Instance: "1", BaseURL: "nonsense", Credential: "x"}); err == nil {
		t.Error("no URL, and no error")
	}
}
