package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/httpapi"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
)

const apiToken = "0123456789abcdef"

// newAPI is an API with a database and a Redis of its own.
func newAPI(t *testing.T) http.Handler {
	t.Helper()
	pool, client, log := testenv.Pool(t), testenv.Client(t, testenv.Redis(t)), slog.New(slog.DiscardHandler)
	box, err := secret.NewBox(nil)
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.New(httpapi.Config{
		Pool: pool, Outbox: outbox.New(pool, client), History: history.New(pool), Box: box, Log: log, Version: "1.2.3",
		Inbound: inbound.New(inbound.Config{
			Pool: pool, Client: client, Log: log, Decoders: map[string]gateway.Decoder{"evolution": evolution.Decoder{}},
		}),
		Desk:         outbound.NewDesk(pool, client, func(error) {}),
		MaxBodyBytes: 1 << 20, APIToken: apiToken, WebhookToken: apiToken,
		RedisPing: func(context.Context) error { return nil },
	})
}

// describer is an API that can only be looked at.
func describer() http.Handler {
	return httpapi.New(httpapi.Config{Log: slog.New(slog.DiscardHandler), Version: "1.2.3", MaxBodyBytes: 1 << 20})
}

func get(t *testing.T, h http.Handler, path string) (status int, header http.Header, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+apiToken)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header(), w.Body.String()
}

type document struct {
	OpenAPI string `json:"openapi" yaml:"openapi"`
	Info    struct {
		Title   string `json:"title" yaml:"title"`
		Version string `json:"version" yaml:"version"`
	} `json:"info" yaml:"info"`
	Paths map[string]map[string]struct {
		OperationID string                `json:"operationId" yaml:"operationId"`
		Summary     string                `json:"summary" yaml:"summary"`
		Tags        []string              `json:"tags" yaml:"tags"`
		Security    []map[string][]string `json:"security" yaml:"security"`
		Responses   map[string]any        `json:"responses" yaml:"responses"`
	} `json:"paths" yaml:"paths"`
}

func describe(t *testing.T) document {
	t.Helper()
	status, _, body := get(t, describer(), "/openapi.json")
	if status != http.StatusOK {
		t.Fatalf("GET /openapi.json = %d", status)
	}
	var d document
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDocumentNamesEveryRoute(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("server.go")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`add\(s, api, [\w.]+, http\.Method(\w+), "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, strings.ToLower(m[1])+" "+m[2])
	}
	if len(want) < 15 {
		t.Fatalf("only %d routes in server.go: this test looks at the wrong thing", len(want))
	}
	for path, methods := range describe(t).Paths {
		for method := range methods {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	d := describe(t)
	if d.Info.Title != "MsgOrch" || d.Info.Version != "1.2.3" || !strings.HasPrefix(d.OpenAPI, "3.") {
		t.Errorf("the document is %s %s of OpenAPI %s", d.Info.Title, d.Info.Version, d.OpenAPI)
	}
	seen := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.OperationID == "" || seen[op.OperationID] {
				t.Errorf("%s %s: operation id %q is missing or taken", method, path, op.OperationID)
			}
			seen[op.OperationID] = true
			if op.Summary == "" || len(op.Tags) != 1 || len(op.Responses) < 2 {
				t.Errorf("%s %s: summary %q, tags %v, %d responses", method, path, op.Summary, op.Tags, len(op.Responses))
			}
			if open := path == "/livez" || path == "/readyz"; open != (len(op.Security) == 0) {
				t.Errorf("%s %s: security is %v", method, path, op.Security)
			}
			if len(op.Security) > 0 && op.Responses["401"] == nil {
				t.Errorf("%s %s: no word about 401", method, path)
			}
		}
	}
}

func TestBothDocumentsSayTheSame(t *testing.T) {
	t.Parallel()
	status, _, body := get(t, describer(), "/openapi.yaml")
	if status != http.StatusOK {
		t.Fatalf("GET /openapi.yaml = %d", status)
	}
	var got document
	if err := yaml.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	// Only their outlines: a schema's numbers have other types in YAML.
	want := describe(t)
	for _, d := range []document{want, got} {
		for _, methods := range d.Paths {
			for method, op := range methods {
				op.Responses = nil
				methods[method] = op
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documents (-json +yaml):\n%s", diff)
	}
}

func TestTheDocumentationLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	h := describer()
	for _, must := range []string{
		`<script async src="https://cdn.example.com/x.js">`, `@import url("//example.com/x.css")`, `url(https://example.com/f.woff)`,
		`import("https://example.com/x.js")`, `s.src="https://example.com/x.js"`, `fetch("https://example.com")`, `<link rel=stylesheet href=//example.com/x>`,
	} {
		if len(loads(must)) != 1 {
			t.Errorf("this test does not see %s", must)
		}
	}
	status, header, page := get(t, h, "/docs")
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
		t.Fatalf("GET /docs = %d %s", status, header.Get("Content-Type"))
	}
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "http") || strings.Contains(policy, "*") || strings.Contains(policy, "unsafe-eval") {
		t.Errorf("content security policy = %q", policy)
	}
	assets := regexp.MustCompile(`(?:src|href|Url)="([^"#]+)"`).FindAllStringSubmatch(page, -1)
	if len(assets) < 3 {
		t.Fatalf("the page names only %v", assets)
	}
	for _, a := range append(assets, []string{"", "/docs/"}) {
		u, err := url.Parse(a[1])
		if err != nil || u.Host != "" || u.Scheme != "" {
			t.Errorf("the page loads %s", a[1])
			continue
		}
		status, _, body := get(t, h, a[1])
		if status != http.StatusOK {
			t.Errorf("GET %s = %d", a[1], status)
		}
		for _, load := range loads(body) {
			t.Errorf("%s has %s", a[1], load)
		}
	}
}

// loads returns each place where a page, a script or a style sheet makes a
// browser load something from a named host.
func loads(body string) (places []string) {
	cause := regexp.MustCompile(`(?:` +
		`(?i:<(?:script|img|iframe|source|video|audio|embed|object|use|image|link|base|form)\b[^>]*\b(?:src|href|srcset|data|action|poster)\s*=\s*["']?)` +
		`|@import\s+(?:url\()?["']?|\burl\(\s*["']?` +
		`|\b(?:import|importScripts|Worker|fetch)\(\s*["']|\b(?:import|from)\s*["']|\.(?:src|srcset)\s*=\s*["']` +
		`)(?:https?:)?$`)
	for i := 0; ; i += 2 {
		n := strings.Index(body[i:], "//")
		if n < 0 {
			return places
		}
		i += n
		before, after := body[max(0, i-200):i], body[i:min(len(body), i+60)]
		if cause.MatchString(before) && regexp.MustCompile(`^//[\w-]+(\.[\w-]+)+`).MatchString(after) {
			places = append(places, before[max(0, len(before)-40):]+after)
		}
	}
}

// A name that PostgreSQL cannot even be asked about is one that nothing has.
func TestNamesThatCannotBeAreNotOurFault(t *testing.T) {
	t.Parallel()
	h := newAPI(t)
	paths := []string{
		"/v1/instances/%00", "/v1/instances/%FF", "/v1/instances/%00/chats", "/v1/instances/%00/chats/x/messages", "/v1/messages/%00",
		"/v1/messages?instance=%00", "/v1/messages?chat=%00", "/v1/messages?chat=%FF", "/v1/messages?q=%00", "/v1/messages?cursor=%00",
		"/v1/instances?cursor=%00", "/v1/instances?cursor=%FF",
	}
	for _, path := range paths {
		status, _, body := get(t, h, path)
		if status >= 500 {
			t.Errorf("GET %s = %d %s", path, status, body)
		}
	}
	for _, call := range []string{
		"PUT /v1/instances/%00", "DELETE /v1/instances/%00", "POST /v1/instances/%00/pause", "POST /v1/instances/%00/resume",
		"POST /webhooks/evolution/%00", "POST /webhooks/evolution/%FF/x",
	} {
		method, path, _ := strings.Cut(call, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{"gateway":"sandbox"}`))
		r.Header.Set("Authorization", "Bearer "+apiToken)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code < 400 {
			t.Errorf("%s = %d %s, want what says that there is none", call, w.Code, w.Body)
		}
	}
}
