package sandbox_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func do(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func TestBadFaultsChangeNothing(t *testing.T) {
	t.Parallel()
	for body, field := range map[string]string{
		`{"error_500":1.1}`:               "error_500",
		`{"hang":-0.1}`:                   "hang",
		`{"webhook_drop":"often"}`:        "webhook_drop",
		`{"eror_500":0.5}`:                "eror_500",
		`{"slow_ms":[1]}`:                 "slow_ms",
		`{"slow_ms":null}`:                "slow_ms",
		`{"ack_delay_ms":[20,10]}`:        "ack_delay_ms",
		`{"read_delay_ms":[0,600001]}`:    "read_delay_ms",
		`{"webhook_reorder_ms":[-1,0]}`:   "webhook_reorder_ms",
		`{"hang_seconds":3601}`:           "hang_seconds",
		`{"retry_after_seconds":-1}`:      "retry_after_seconds",
		`{"closed_instances":"sales"}`:    "closed_instances",
		`{"error_500":0.6,"reset":0.5}`:   "error_500",
		`{"error_500":0.1} {"reset":0.5}`: "body",
		`{"error_500":0.1`:                "body",
		`null`:                            "body",
		`{"error_500":1e400}`:             "error_500",
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, sandbox.Options{})
			g.fault(t, `{"slow":0.25}`)
			before := g.call(t, http.MethodGet, "/sandbox/faults", "")

			a := g.call(t, http.MethodPut, "/sandbox/faults", body)

			if a.status != http.StatusBadRequest || !strings.HasPrefix(text(t, a.body, "error"), field) {
				t.Errorf("got %d %s, want 400 about %s", a.status, a.body, field)
			}
			after := g.call(t, http.MethodGet, "/sandbox/faults", "")
			if diff := cmp.Diff(string(before.body), string(after.body)); diff != "" {
				t.Errorf("faults changed:\n%s", diff)
			}
		})
	}
}

func TestPutReplacesAllFaultsAndDeleteResetsThem(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	healthy := g.call(t, http.MethodGet, "/sandbox/faults", "")
	g.fault(t, `{"error_500":1}`)
	g.fault(t, `{"slow":0.5}`)
	got := decode[sandbox.Faults](t, g.call(t, http.MethodGet, "/sandbox/faults", "").body)
	want := sandbox.DefaultFaults()
	want.Slow = 0.5
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	reset := g.call(t, http.MethodDelete, "/sandbox/faults", "")
	if diff := cmp.Diff(string(healthy.body), string(reset.body)); diff != "" {
		t.Errorf("after DELETE:\n%s", diff)
	}
}

func TestALimitRefusesAndCounts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPut, "/sandbox/limits", `{"instance":"sales","per_minute":1,"burst":2}`)
	var statuses []int
	for range 3 {
		statuses = append(statuses, g.send(t, "5215550001001", "hola").status)
	}
	if diff := cmp.Diff([]int{201, 201, 429}, statuses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if after := g.send(t, "5215550001001", "hola").header.Get("Retry-After"); after != "60" {
		t.Errorf("Retry-After = %q, want 60", after)
	}
	got := g.call(t, http.MethodGet, "/sandbox/limits", "")
	want := `{"data":[{"instance":"sales","per_minute":1,"burst":2,"taken":2,"violations":2}]}`
	if string(got.body) != want {
		t.Errorf("got %s, want %s", got.body, want)
	}

	g.call(t, http.MethodPut, "/sandbox/limits", `{"instance":"sales","per_minute":0}`)

	if a := g.send(t, "5215550001001", "hola"); a.status != http.StatusCreated {
		t.Errorf("status without a limit = %d, want 201", a.status)
	}
}

func TestABadLimitNamesItsField(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for body, field := range map[string]string{
		`{"per_minute":1}`:                                 "instance",
		`{"instance":"sales"}`:                             "per_minute",
		`{"instance":"sales","per_minute":-1}`:             "per_minute",
		`{"instance":"sales","per_minute":1,"burst":0}`:    "burst",
		`{"instance":"sales","per_minute":1.5}`:            "per_minute",
		`{"instance":"sales","per_minute":1,"per_hour":1}`: "per_hour",
	} {
		a := g.call(t, http.MethodPut, "/sandbox/limits", body)
		if a.status != http.StatusBadRequest || !strings.HasPrefix(text(t, a.body, "error"), field+":") {
			t.Errorf("%s: got %d %s, want 400 about %s", body, a.status, a.body, field)
		}
	}
}

func TestInstancesAreCreatedOnce(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	first := g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"tienda-demo"}`)
	if first.status != http.StatusCreated || text(t, first.body, "instance", "instanceName") != "tienda-demo" {
		t.Errorf("got %d %s", first.status, first.body)
	}
	status, want := exampleAnswer(t, "send-403-name-in-use")
	second := g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"tienda-demo"}`)
	if second.status != status || string(second.body) != compact(t, want) {
		t.Errorf("got %d %s, want %d %s", second.status, second.body, status, want)
	}
	list := decode[[]struct{ Name, ConnectionStatus string }](t, g.call(t, http.MethodGet, "/instance/fetchInstances", "").body)
	if len(list) != 1 || list[0].Name != "tienda-demo" || list[0].ConnectionStatus != "close" {
		t.Errorf("got %+v", list)
	}
}

func TestAnInstanceCreatedWithAWebhookUsesIt(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPost, "/instance/create", `{"instanceName":"sales","webhook":{"url":"`+sink.url+`/x"}}`)
	g.call(t, http.MethodGet, "/instance/connect/sales", "")
	g.call(t, http.MethodPost, "/sandbox/session", `{"instance":"sales","do":"scan"}`)
	sink.take(t, 1) // it is open
	g.send(t, "5215550001001", "hola")
	if h := sink.take(t, 3)[0]; h.path != "/x" {
		t.Errorf("path = %q, want /x", h.path)
	}
}

func TestGatewayCallsNeedTheKey(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{APIKey: "another"})
	for _, call := range [][2]string{
		{http.MethodPost, "/chat/findMessages/sales"},
		{http.MethodGet, "/instance/connectionState/sales"},
		{http.MethodGet, "/instance/fetchInstances"},
		{http.MethodPost, "/instance/create"},
		{http.MethodPost, "/webhook/set/sales"},
		{http.MethodGet, "/webhook/find/sales"},
	} {
		if a := g.call(t, call[0], call[1], "{}"); a.status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d, want 401", call[0], call[1], a.status)
		}
	}
}

func TestThePageShowsCommandsForItsOwnAddress(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	a := g.call(t, http.MethodGet, "/sandbox/", "")
	if a.status != http.StatusOK || !strings.Contains(string(a.body), "curl "+g.url+"/sandbox/inbound") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := g.call(t, http.MethodGet, "/livez", ""); a.status != http.StatusOK {
		t.Errorf("livez = %d", a.status)
	}
	if a := g.call(t, http.MethodGet, "/nowhere", ""); a.status != http.StatusNotFound {
		t.Errorf("nowhere = %d", a.status)
	}
}
