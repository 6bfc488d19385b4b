package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func (g *gateway) link(t *testing.T, query string) (state, code string, count any) {
	t.Helper()
	a := decode[map[string]any](t, g.call(t, http.MethodGet, "/instance/connect/sales"+query, "").body)
	if in, ok := a["instance"].(map[string]any); ok {
		return in["state"].(string), "", nil
	}
	code, _ = a["code"].(string)
	return "connecting", code, a["count"]
}

func (g *gateway) act(t *testing.T, do string) {
	t.Helper()
	if a := g.call(t, http.MethodPost, "/sandbox/session", `{"instance":"sales","do":"`+do+`"}`); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", do, a.status, a.body)
	}
}

func TestACreatedInstanceMustBeScanned(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"sales"}`)
	if a := g.send(t, "5215550001001", "hola"); a.status != http.StatusBadRequest {
		t.Errorf("a send before it is open: %d", a.status)
	}
	_, first, count := g.link(t, "")
	if !strings.HasPrefix(first, "2@") || count != 1.0 {
		t.Errorf("code %q of count %v", first, count)
	}
	g.act(t, "rotate")
	if _, second, count := g.link(t, ""); second == first || count != 2.0 {
		t.Errorf("after it went by: code %q of count %v", second, count)
	}
	g.act(t, "scan")
	if state, code, _ := g.link(t, ""); state != "open" || code != "" {
		t.Errorf("after the scan: %s %q", state, code)
	}
	if a := g.send(t, "5215550001001", "hola"); a.status != http.StatusCreated {
		t.Errorf("a send when it is open: %d %s", a.status, a.body)
	}
	g.act(t, "logout")
	if a := g.send(t, "5215550001001", "hola"); a.status != http.StatusBadRequest {
		t.Errorf("a send after the log-out: %d", a.status)
	}
}

func TestCodesRunOut(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"sales"}`)
	_, first, _ := g.link(t, "")
	g.act(t, "expire")
	state := decode[map[string]map[string]string](t, g.call(t, http.MethodGet, "/instance/connectionState/sales", "").body)
	if got := state["instance"]["state"]; got != "refused" {
		t.Errorf("state = %s, want refused", got)
	}
	if _, again, count := g.link(t, ""); again == first || count != 1.0 {
		t.Errorf("begun anew: code %q of count %v", again, count)
	}
}

func TestANumberGetsAPairingCode(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"sales"}`)
	got := decode[struct{ PairingCode string }](t, g.call(t, http.MethodGet, "/instance/connect/sales?number=5215550009000", "").body)
	if len(got.PairingCode) != 8 {
		t.Errorf("pairing code %q", got.PairingCode)
	}
}

func TestAnInstanceHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{APIKey: "global"})
	as := func(key, method, path, body string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Apikey", key)
		return do(t, &http.Client{}, req)
	}
	token := text(t, as("global", http.MethodPost, "/instance/create", `{"instanceName":"sales"}`).body, "hash")
	as("global", http.MethodPost, "/instance/create", `{"instanceName":"other"}`)
	var got []int
	for _, path := range []string{"/instance/connectionState/sales", "/instance/connectionState/other", "/instance/fetchInstances", "/instance/fetchInstances?instanceName=sales"} {
		got = append(got, as(token, http.MethodGet, path, "").status)
	}
	if diff := cmp.Diff([]int{200, 401, 401, 200}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a := as("global", http.MethodGet, "/instance/fetchInstances?instanceName=nobody", ""); a.status != http.StatusNotFound {
		t.Errorf("an unknown one: %d", a.status)
	}
}
