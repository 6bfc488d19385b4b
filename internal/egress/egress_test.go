package egress_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/msgorch/msgorch/internal/egress"
)

func TestPrivateAddressesAreReachedOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer srv.Close()
	for _, allow := range []bool{false, true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := egress.NewClient(allow).Do(req)
		if (err == nil) != allow {
			t.Errorf("allowPrivate=%v: error = %v", allow, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := egress.NewClient(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("status = %d, want 302 itself", resp.StatusCode)
	}
}
