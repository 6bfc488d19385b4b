package egress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/egress"
	"github.com/msgorch/msgorch/internal/fault"
)

func TestAFileIsFetched(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/file", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "the file")
	}))
	defer srv.Close()
	file, err := egress.NewFetcher(true).Fetch(t.Context(), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got, err := io.ReadAll(file); string(got) != "the file" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnAddressThatIsNotToBeFetchedIsRefusedForGood(t *testing.T) {
	t.Parallel()
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private address was reached") }))
	t.Cleanup(private.Close)
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	t.Cleanup(redirecting.Close)
	tests := map[string]struct {
		address      string
		allowPrivate bool
	}{
		"loopback":             {private.URL, false},
		"a name for loopback":  {strings.Replace(private.URL, "127.0.0.1", "localhost", 1), false},
		"a private network":    {"http://10.0.0.1/s3cr3t", false},
		"a cloud's metadata":   {"http://169.254.169.254/latest/s3cr3t", false},
		"IPv6 loopback":        {"http://[::1]:1/s3cr3t", false},
		"mapped into IPv6":     {"http://[::ffff:127.0.0.1]:1/s3cr3t", false},
		"a file":               {"file:///etc/s3cr3t", true},
		"no address":           {"http://", true},
		"a redirect to a file": {redirecting.URL + "?to=file:///etc/s3cr3t", true},
		"redirects for ever":   {redirecting.URL + "?to=%3Fto%3D", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := egress.NewFetcher(tt.allowPrivate).Fetch(t.Context(), tt.address)
			if f := fault.Of(err); f == nil || f.Code != "media_url_refused" || !f.Kind.Final() || strings.Contains(f.Error(), "s3cr3t") {
				t.Errorf("error = %v, want media_url_refused without the address", err)
			}
		})
	}
}

func TestAnAnswerWithoutAFileSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		code   string
		final  bool
	}{
		{http.StatusNotFound, "media_not_found", true},
		{http.StatusGone, "media_not_found", true},
		{http.StatusForbidden, "media_url_failed", true},
		{http.StatusNoContent, "media_url_failed", true},
		{http.StatusTooManyRequests, "media_url_failed", false},
		{http.StatusServiceUnavailable, "media_url_failed", false},
	}
	for _, tt := range tests {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) }))
			defer srv.Close()
			_, err := egress.NewFetcher(true).Fetch(t.Context(), srv.URL)
			if f := fault.Of(err); f == nil || f.Code != tt.code || f.Kind.Final() != tt.final {
				t.Errorf("error = %v, want %s, final %v", err, tt.code, tt.final)
			}
		})
	}
	if _, err := egress.NewFetcher(true).Fetch(t.Context(), "http://127.0.0.1:1/s3cr3t"); fault.Of(err).Code != "media_url_unreachable" ||
		fault.Of(err).Kind.Final() || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("nobody there: %v", err)
	}
}
