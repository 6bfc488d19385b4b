package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/testenv"
)

const (
	serverKey = "hunter2-of-the-server"
	hookURL   = "https://msgorch.example/webhooks/evolution/sales"
)

// server is an Evolution API of the test's own.
type server struct {
	*httptest.Server
	t     *testing.T
	calls atomic.Int64
	// fail, if set, says of a call, counted from 1, whether the connection breaks
	// before it takes effect, or after.
	fail atomic.Pointer[func(n int64) (before, after bool)]
}

func newServer(t *testing.T, o sandbox.Options) *server {
	t.Helper()
	o.APIKey = serverKey
	fake := sandbox.New(o)
	s := &server{t: t}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail := s.fail.Load()
		if strings.HasPrefix(r.URL.Path, "/sandbox/") || fail == nil {
			fake.ServeHTTP(w, r)
			return
		}
		before, after := (*fail)(s.calls.Add(1))
		if before {
			panic(http.ErrAbortHandler)
		}
		if after {
			fake.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); fake.Close() })
	return s
}

// call makes a call as the one who runs the server.
func (s *server) call(method, path, body string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Apikey", serverKey)
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// act has a person do something about the session of sales, once it can be done.
func (s *server) act(do string) {
	s.t.Helper()
	await(s.t, "somebody can "+do, func() bool {
		status, _ := s.call(http.MethodPost, "/sandbox/session", `{"instance":"sales","do":"`+do+`"}`)
		return status == http.StatusOK
	})
}

// hook is the webhook of sales at the server.
func (s *server) hook() (h struct {
	URL     string            `json:"url"`
	Enabled bool              `json:"enabled"`
	Headers map[string]string `json:"headers"`
	Events  []string          `json:"events"`
	Base64  bool              `json:"webhookBase64"`
},
) {
	s.t.Helper()
	if _, body := s.call(http.MethodGet, "/webhook/find/sales", ""); json.Unmarshal(body, &h) != nil {
		s.t.Fatalf("webhook: %s", body)
	}
	return h
}

func (s *server) token() string {
	s.t.Helper()
	return strings.TrimPrefix(s.hook().Headers["Authorization"], "Bearer ")
}

// made makes sales and connects it, as somebody may have done before us.
func (s *server) made() {
	s.t.Helper()
	s.call(http.MethodPost, "/instance/create", `{"instanceName":"sales"}`)
	s.call(http.MethodGet, "/instance/connect/sales", "")
	s.act("scan")
}

func (s *server) environment(env environment) environment {
	return env.and("EVOLUTION_BASE_URL", s.URL).and("EVOLUTION_API_KEY", serverKey).
		and("PUBLIC_URL", "https://msgorch.example").and("ALLOW_PRIVATE_TARGETS", "true")
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !eventually(t, is) {
		t.Fatalf("waited and still not: %s", what)
	}
}

// takes reports whether the API would take a webhook with this token.
func takes(i db.Instance, token string) bool {
	return apikey.HashEqual(token, i.WebhookTokenHash) || apikey.HashEqual(token, i.PreviousWebhookTokenHash)
}

func TestConnectMakesAnInstanceAndWaitsForTheScan(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	env := g.environment(withKey(t))
	picture := filepath.Join(t.TempDir(), "qr.png")
	done := make(chan result)
	go func() {
		done <- env.runIn(t.Context(), "", "instances", "connect", "sales", "-o", "json", "--qr-file", picture)
	}()
	var first []byte
	await(t, "the code is a picture", func() bool {
		first, _ = os.ReadFile(picture)
		_, err := png.Decode(bytes.NewReader(first))
		return err == nil
	})
	g.act("rotate")
	await(t, "the next code is a picture", func() bool {
		second, err := os.ReadFile(picture)
		return err == nil && !bytes.Equal(first, second)
	})
	g.act("scan")
	r := <-done
	got := as[connected](t, r.want(t, exitOK))
	want := connected{
		Name: "sales", Connection: "open", Number: "5215550009000",
		Changed: []string{"made at the gateway", "registered here", "credential", "webhook token", "webhook"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(connected{}, "Warnings")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := os.Stat(picture); err == nil {
		t.Error("the picture of the code was left behind")
	}
	row, hook, token := env.instance(t, "sales"), g.hook(), g.token()
	if hook.URL != hookURL || !hook.Enabled || hook.Base64 {
		t.Errorf("webhook: %+v", hook)
	}
	if diff := cmp.Diff(evolution.Events(), hook.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(token) < 40 || !apikey.HashEqual(token, row.WebhookTokenHash) {
		t.Error("the gateway has not the token that we take")
	}
	box, err := secret.NewBox([]byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	own, err := box.Open(outbound.CredentialContext("sales"), row.Credential)
	if err != nil || own == "" || own == serverKey {
		t.Errorf("the credential is not the instance's own: %v", err)
	}
	for _, hidden := range []string{token, own.Reveal(), serverKey, "2@"} {
		if strings.Contains(r.stdout+r.stderr, hidden) {
			t.Errorf("a secret is shown:\n%s\n%s", r.stdout, r.stderr)
		}
	}
}

func TestConnectLeavesAConnectedNumberAlone(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	g.made()
	env := g.environment(withKey(t))
	first := as[connected](t, env.run(t, "instances", "connect", "sales", "-o", "json").want(t, exitOK))
	if diff := cmp.Diff([]string{"registered here", "credential", "webhook token", "webhook"}, first.Changed); diff != "" || first.Connection != "open" {
		t.Errorf("adopted as %+v", first)
	}
	row, hook := env.instance(t, "sales"), g.hook()
	again := as[connected](t, env.run(t, "instances", "connect", "sales", "-o", "json").want(t, exitOK))
	if len(again.Changed) > 0 {
		t.Errorf("the same command again changed %v", again.Changed)
	}
	if diff := cmp.Diff(row, env.instance(t, "sales")); diff != "" {
		t.Errorf("row (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(hook, g.hook()); diff != "" {
		t.Errorf("webhook (-before +after):\n%s", diff)
	}
}

func TestConnectMendsTheWebhook(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ hook, says string }{
		"off":           {`"enabled":false,"url":"` + hookURL + `"`, "is off"},
		"all events":    {`"enabled":true,"url":"` + hookURL + `"`, "reports other events"},
		"fewer events":  {`"enabled":true,"url":"` + hookURL + `","events":["MESSAGES_UPSERT"]`, "reports other events"},
		"files inside":  {`"enabled":true,"url":"` + hookURL + `","base64":true`, "carries files inside"},
		"by event":      {`"enabled":true,"url":"` + hookURL + `","byEvents":true`, "adds the event to the URL"},
		"we have moved": {`"enabled":true,"url":"https://old.example/webhooks/evolution/sales"`, "has another URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newServer(t, sandbox.Options{})
			g.made()
			env := g.environment(withKey(t))
			env.run(t, "instances", "connect", "sales").want(t, exitOK)
			token := g.token()
			g.call(http.MethodPost, "/webhook/set/sales", `{"webhook":{`+tt.hook+`,"headers":{"Authorization":"Bearer `+token+`","X-Kept":"yes"}}}`)

			got := as[connected](t, env.run(t, "instances", "connect", "sales", "-o", "json").want(t, exitOK))

			if len(got.Changed) != 1 || !strings.Contains(got.Changed[0], tt.says) {
				t.Errorf("changed %v, want only %q", got.Changed, tt.says)
			}
			hook := g.hook()
			if hook.URL != hookURL || !hook.Enabled || hook.Base64 || len(hook.Events) != len(evolution.Events()) || hook.Headers["X-Kept"] != "yes" {
				t.Errorf("webhook: %+v", hook)
			}
			if g.token() != token {
				t.Error("a token that we take was changed")
			}
		})
	}
}

func TestANewWebhookTokenCountsBesideTheOneOfBefore(t *testing.T) {
	t.Parallel()
	const shared = "hunter2-of-all-webhooks"
	g := newServer(t, sandbox.Options{})
	g.made()
	g.call(http.MethodPost, "/webhook/set/sales", `{"webhook":{"enabled":true,"url":"`+hookURL+`","headers":{"authorization":"Bearer `+shared+`"}}}`)
	env := g.environment(withKey(t)).and("WEBHOOK_TOKEN", shared)
	env.run(t, "instances", "connect", "sales").want(t, exitOK)
	if row := env.instance(t, "sales"); g.token() == shared || !takes(row, g.token()) || !takes(row, shared) {
		t.Error("a webhook that is tried again with the token of before would be lost")
	}
	env.feed(t, "hunter2-that-a-person-chose", "instances", "put", "sales", "--webhook-token-file", "-").want(t, exitOK)
	if row := env.instance(t, "sales"); takes(row, shared) || !takes(row, "hunter2-that-a-person-chose") {
		t.Error("a token that a person replaced still counts")
	}
}

// Every call may be the last: what is left behind works, and the same command
// goes on from there.
func TestConnectGoesOnAfterABreakAnywhere(t *testing.T) {
	t.Parallel()
	const shared = "hunter2-of-all-webhooks"
	starts := map[string]func(*server){
		"nothing": func(*server) {},
		"a connected number that reports to us with the shared token": func(g *server) {
			g.made()
			g.call(http.MethodPost, "/webhook/set/sales", `{"webhook":{"enabled":true,"url":"`+hookURL+`","headers":{"Authorization":"Bearer `+shared+`"}}}`)
		},
	}
	const most = 8 // calls of one run; the last two only look
	for name, start := range starts {
		for n := int64(1); n <= most; n++ {
			for _, after := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					g := newServer(t, sandbox.Options{})
					start(g)
					known := g.hook().URL != ""
					env := g.environment(withKey(t)).and("WEBHOOK_TOKEN", shared)
					g.fail.Store(new(func(call int64) (bool, bool) { return call == n && !after, call == n && after }))
					first := env.run(t, "instances", "connect", "sales", "--timeout", "0")
					g.fail.Store(nil)
					if first.status != exitOK && known {
						row, err := db.New(testenv.PoolOn(t, env["DATABASE_URL"])).InstanceByName(t.Context(), "sales")
						if err == nil && row.WebhookTokenHash != nil && !takes(row, g.token()) {
							t.Fatalf("after a break at call %d (taken: %t) the gateway's webhooks are refused", n, after)
						}
					}
					got := as[connected](t, env.run(t, "instances", "connect", "sales", "--timeout", "0", "-o", "json").want(t, exitOK))
					if g.calls.Load() > most {
						t.Errorf("a run makes %d calls, not all of which are tried here", g.calls.Load())
					}
					if row := env.instance(t, "sales"); !apikey.HashEqual(g.token(), row.WebhookTokenHash) || len(row.Credential) == 0 || g.hook().URL != hookURL {
						t.Errorf("after a break at call %d (taken: %t) it is not set up: %+v", n, after, got)
					}
				})
			}
		}
	}
}

func TestConnectRefusesPolitely(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version string
		before  func(*server, environment)
		env     map[string]string
		args    []string
		says    string
		status  int
	}{
		"a wrong key":       {env: map[string]string{"EVOLUTION_API_KEY": "wrong"}, says: "does not accept the key"},
		"version 1":         {version: "1.8.2", says: "update it"},
		"another's webhook": {before: func(g *server, _ environment) { g.hookTo("https://n8n.example/hunter2") }, says: "n8n.example"},
		"no address of ours": {
			env: map[string]string{"PUBLIC_URL": "", "LISTEN_PORT": "0"}, says: "--webhook-url", status: exitUsage,
		},
		"another gateway": {before: func(g *server, env environment) {
			env.run(g.t, "instances", "put", "sales", "--gateway", "sandbox").want(g.t, exitOK)
		}, says: "another gateway"},
		"a private address":       {env: map[string]string{"ALLOW_PRIVATE_TARGETS": ""}, says: "ALLOW_PRIVATE_TARGETS"},
		"a number without a face": {args: []string{"--number", "+5215550009000"}, says: "terminal", status: exitUsage},
		"no phone number":         {args: []string{"--number", "Ana"}, says: "phone number", status: exitUsage},
		"a password in the URL":   {args: []string{"--webhook-url", "https://x:hunter2@h"}, says: "--webhook-url", status: exitUsage},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newServer(t, sandbox.Options{Version: tt.version})
			env := g.environment(withKey(t))
			if tt.before != nil {
				tt.before(g, env)
			}
			for name, value := range tt.env {
				env = env.and(name, value)
			}
			got := env.run(t, append([]string{"instances", "connect", "sales", "--timeout", "0"}, tt.args...)...)
			got.want(t, max(tt.status, exitFailed))
			if !strings.Contains(got.stderr, tt.says) || strings.Count(got.stderr, "\n") != 1 || strings.Contains(got.stderr, "hunter2") {
				t.Errorf("stderr: %s", got.stderr)
			}
			if _, list := g.call(http.MethodGet, "/instance/fetchInstances", ""); tt.before == nil && string(list) != "[]" {
				t.Errorf("something was made: %s", list)
			}
		})
	}
}

func (s *server) hookTo(address string) {
	s.t.Helper()
	s.made()
	s.call(http.MethodPost, "/webhook/set/sales", `{"webhook":{"enabled":true,"url":"`+address+`"}}`)
}

func TestConnectTakesOverAWebhookWhenTold(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	g.hookTo("https://n8n.example/hunter2")
	env := g.environment(withKey(t))
	env.run(t, "instances", "connect", "sales", "--replace-webhook").want(t, exitOK)
	if got := g.hook().URL; got != hookURL {
		t.Errorf("webhook = %s", got)
	}
}

func TestConnectSaysWhenTheCodesRanOut(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	env := g.environment(withKey(t))
	done := make(chan result)
	go func() {
		done <- env.runIn(t.Context(), "", "instances", "connect", "sales", "--qr-file", filepath.Join(t.TempDir(), "qr.png"))
	}()
	g.act("expire")
	if r := (<-done).want(t, exitFailed); !strings.Contains(r.stderr, "went by") || !strings.Contains(r.stdout, "set up") {
		t.Errorf("stdout %s, stderr %s", r.stdout, r.stderr)
	}
}

func TestWithoutATerminalNoCodeIsAskedFor(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	env := g.environment(withKey(t))
	r := env.run(t, "instances", "connect", "sales", "--timeout", "1ms").want(t, exitFailed)
	if !strings.Contains(r.stderr, "--qr-file") || !strings.Contains(r.stderr, "nobody connected it") {
		t.Errorf("stderr: %s", r.stderr)
	}
	if _, body := g.call(http.MethodGet, "/instance/connectionState/sales", ""); !strings.Contains(string(body), `"close"`) {
		t.Errorf("a session was begun: %s", body)
	}
}

func TestConnectWarnsOfWhatLosesMessages(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{Version: "2.3.6"})
	g.made()
	g.call(http.MethodPost, "/settings/set/sales", `{"readMessages":true,"readStatus":true,"syncFullHistory":true,"groupsIgnore":true}`)
	env := g.environment(withKey(t))
	got := as[connected](t, env.run(t, "instances", "connect", "sales", "-o", "json").want(t, exitOK)).Warnings
	for _, says := range []string{"2.3.6 drops", "readMessages", "readStatus", "syncFullHistory", "groupsIgnore", "AUTHENTICATION_EXPOSE"} {
		if !strings.Contains(strings.Join(got, "\n"), says) {
			t.Errorf("no word of %s in %q", says, got)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d warnings: %q", len(got), got)
	}
}

func TestAdviceKnowsTheVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"2.2.3": "ten tries", "2.3.4": "deletions", "2.3.6": "five minutes", "2.3.7": "", "2.4.0-rc2": "licence", "": "does not say", "dev": "",
	} {
		got := strings.Join(advice(version, evolution.Instance{}), "\n")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("of %q it says %q, want %q", version, got, want)
		}
	}
}
