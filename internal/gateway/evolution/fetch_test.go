package evolution_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// at is an account of a gateway that answers with handler.
func at(t *testing.T, handler http.HandlerFunc) gateway.Account {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return account(server.URL)
}

func TestOpenMediaGivesTheFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, give        string
		file, contentType string
		size              int64
	}{
		{"as 2.3 says it", `{"mediaType":"imageMessage","fileName":"a.png","caption":"","size":{"fileLength":{"low":5,"high":0,"unsigned":true},"height":1},"mimetype":"image/png","base64":"Ynl0ZXM=","buffer":null}`, "bytes", "image/png", 5},
		{"as 1.8 says it", `{"size":{"fileLength":"5"},"mimetype":"image/png","base64":"Ynl0ZXM="}`, "bytes", "image/png", 5},
		{"of unknown size and type", `{"base64":"Ynl0ZXM="}`, "bytes", "", -1},
		{"with escaped slashes", `{"base64":"\/+8="}`, "\xff\xef", "", -1},
		{"behind something alike", `{"x":{"base64":"QUFB"},"a\"b":["base64"],"y":"base64", "base64" : "Ynl0ZXM=" }`, "bytes", "", -1},
		{"behind none", `{"base64":null,"base64":"Ynl0ZXM="}`, "bytes", "", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked string
			a := at(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked = r.Method + " " + r.RequestURI + " " + r.Header.Get("Apikey") + " " + string(body)
				says(201, tt.give)(w, r)
			})
			file, contentType, size, err := evolution.NewSender(nil).OpenMedia(t.Context(), a, "3EB0IN1")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			content, err := io.ReadAll(file)
			if err != nil || string(content) != tt.file || contentType != tt.contentType || size != tt.size {
				t.Errorf("%q, %q, %d, %v", content, contentType, size, err)
			}
			want := "POST /chat/getBase64FromMediaMessage/tienda%20demo " + credential + ` {"message":{"key":{"id":"3EB0IN1"}}}`
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// A file that is larger than any answer to a send arrives whole.
func TestOpenMediaHasNoBoundOfItsOwn(t *testing.T) {
	t.Parallel()
	a := at(t, says(201, `{"base64":"`+strings.Repeat("AAAA", 2<<20)+`"}`))
	file, _, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), a, "A")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := io.Copy(io.Discard, file); n != 6<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Half a file must not look like a whole one.
func TestOpenMediaTellsABrokenFile(t *testing.T) {
	t.Parallel()
	for _, give := range []string{`{"base64":"Ynl0ZXM`, `{"base64":"Ynl0ZX`, `{"base64":"Ynl0ZXM=`, `{"base64":"%%%%"}`, `{"base64":"Ynl\u0030"}`} {
		file, _, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), at(t, says(201, give)), "A")
		if err != nil {
			t.Errorf("%s: %v", give, err)
			continue
		}
		if content, err := io.ReadAll(file); err == nil {
			t.Errorf("%s: %q without an error", give, content)
		}
		file.Close()
	}
}

func TestOpenMediaSaysWhyThereIsNoFile(t *testing.T) {
	t.Parallel()
	refuses := func(status int, message string) http.HandlerFunc {
		return says(status, `{"response":{"message":["`+message+`"]}}`)
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		id     string
		kind   fault.Kind
		code   string
	}{
		{"unknown message", refuses(400, "Message not found"), "A", fault.NotFound, "media_gone"},
		{"a text", refuses(400, "The message is not of the media type"), "A", fault.NotFound, "media_gone"},
		{"lost by the phone", refuses(400, "Error: Media re-upload failed by device"), "A", fault.NotFound, "media_gone"},
		{"refused in other words", refuses(400, "Bad"), "A", fault.NotFound, "invalid_request"},
		{"nothing", says(201, `null`), "A", fault.NotFound, "media_gone"},
		{"an empty file", says(201, `{"base64":""}`), "A", fault.NotFound, "media_gone"},
		{"another answer", says(200, `{"ok":true}`), "A", fault.NotFound, "media_gone"},
		{"an id that cannot be", says(201, `{}`), strings.Repeat("x", 129), fault.NotFound, "media_gone"},
		{"closed", refuses(400, "Error: Connection Closed"), "A", fault.Unavailable, "connection_closed"},
		{"an exception", refuses(400, "Error: Failed to fetch stream"), "A", fault.Unavailable, "gateway_error"},
		{"failing", says(500, `{}`), "A", fault.Unavailable, "gateway_error"},
		{"a proxy", says(502, `<html>`), "A", fault.Unavailable, "gateway_error"},
		{"slower", says(429, ``), "A", fault.Unavailable, "rate_limited"},
		{"unauthorised", says(401, `{}`), "A", fault.Unavailable, "bad_credentials"},
		{"no such instance", says(404, `{}`), "A", fault.Unavailable, "instance_not_found"},
		{"elsewhere", says(302, ``, "Location", "http://127.0.0.1:1/"), "A", fault.Unavailable, "gateway_redirect"},
		{"no JSON", says(200, `<html>`), "A", fault.Unavailable, "no_media"},
		{"half an answer", says(200, `{"mimetype":"image/png","base64":`), "A", fault.Unavailable, "no_media"},
		{"much about it", says(200, `{"caption":"`+strings.Repeat("x", 100_000)+`","base64":"AAAA"}`), "A", fault.Unavailable, "no_media"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file, _, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), at(t, tt.answer), tt.id)
			if f, ok := errors.AsType[*fault.Error](err); file != nil || !ok || f.Kind != tt.kind || f.Code != tt.code {
				t.Errorf("%v, want kind %d %s", err, tt.kind, tt.code)
			}
		})
	}
	_, _, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), account("http://127.0.0.1:1"), "A")
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Code != "connect_failed" || strings.Contains(err.Error(), "apikey") {
		t.Errorf("nobody there: %v", err)
	}
	if _, _, _, err := evolution.NewSender(nil).OpenMedia(t.Context(), account("nonsense"), "A"); fault.Of(err).Code != "invalid_base_url" {
		t.Errorf("no URL: %v", err)
	}
}
