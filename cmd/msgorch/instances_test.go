package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/testenv"
)

const testKey = "0123456789abcdef0123456789abcdef"

// withKey is servers with a SECRET_KEY.
func withKey(t *testing.T) environment {
	t.Helper()
	return servers(t).and("SECRET_KEY", base64.StdEncoding.EncodeToString([]byte(testKey))).and("MEDIA_STORE", t.TempDir())
}

func (e environment) instance(t *testing.T, name string) db.Instance {
	t.Helper()
	i, err := db.New(testenv.PoolOn(t, e["DATABASE_URL"])).InstanceByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestSecretsAreSealedAndNeverShown(t *testing.T) {
	t.Parallel()
	env := withKey(t)
	file := filepath.Join(t.TempDir(), "webhook-token")
	if err := os.WriteFile(file, []byte("hunter2-of-the-webhook\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	see := func(r result) result { seen.WriteString(r.stdout + r.stderr); return r }

	see(env.feed(t, " hunter2 \n", "instances", "put", "sales", "--base-url", "https://evolution.example/", "--credential-file", "-",
		"--webhook-token-file", file, "--rate-per-minute", "20").want(t, exitOK))
	see(env.run(t, "instances", "list").want(t, exitOK))
	got := as[instance](t, see(env.run(t, "instances", "show", "sales", "-o", "json").want(t, exitOK)))
	want := instance{
		Name: "sales", Gateway: "evolution", BaseURL: new("https://evolution.example"),
		HasCredential: true, HasWebhookToken: true, RatePerMinute: new(int32(20)), Limits: "20/min", InDoubt: "hold", Connection: "unknown",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(instance{}, "CreatedAt", "UpdatedAt")); diff != "" {
		t.Errorf("instance (-want +got):\n%s", diff)
	}
	if strings.Contains(seen.String(), "hunter2") {
		t.Errorf("a secret is shown:\n%s", seen.String())
	}

	row := env.instance(t, "sales")
	box, err := secret.NewBox([]byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	credential, err := box.Open(outbound.CredentialContext("sales"), row.Credential)
	if err != nil || credential.Reveal() != "hunter2" {
		t.Errorf("the workers read the credential %q, %v", credential.Reveal(), err)
	}
	if !apikey.HashEqual("hunter2-of-the-webhook", row.WebhookTokenHash) {
		t.Error("the webhook token is not accepted")
	}
}

func TestPutChangesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	env := withKey(t).and(credentialVariable, "hunter2")
	env.run(t, "instances", "put", "sales", "--base-url", "https://evolution.example").want(t, exitOK)
	before := env.instance(t, "sales")
	delete(env, credentialVariable)

	env.run(t, "instances", "put", "sales", "--rate-per-minute", "7").want(t, exitOK)

	before.RatePerMinute, before.Paced = new(int32(7)), true
	if diff := cmp.Diff(before, env.instance(t, "sales"), cmpopts.IgnoreFields(db.Instance{}, "UpdatedAt")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLimitsAreSetShownAndTakenAway(t *testing.T) {
	t.Parallel()
	env := servers(t)
	env.run(t, "instances", "put", "sales", "--rate-per-minute", "20", "--burst", "5", "--chat-rate-per-minute", "10", "--chat-burst", "3",
		"--gap-ms", "1000-4000", "--daily-cap", "1000", "--warm-up", "20/14").want(t, exitOK)
	got := as[instance](t, env.run(t, "instances", "show", "sales", "-o", "json").want(t, exitOK))
	if want := "20/min, 5 at once; each chat 10/min, 3 at once; gaps of 1000-4000 ms; 1000/day, today 20, 0 sent"; got.Limits != want {
		t.Errorf("limits = %q, want %q", got.Limits, want)
	}
	env.run(t, "instances", "put", "sales", "--daily-cap", "0").want(t, exitUsage) // the warm-up needs it
	env.run(t, "instances", "put", "sales", "--rate-per-minute", "0", "--burst", "0", "--chat-rate-per-minute", "0", "--chat-burst", "0",
		"--gap-ms", "0", "--daily-cap", "0", "--warm-up", "0").want(t, exitOK)
	if row := env.instance(t, "sales"); row.Paced || limitsOf(row) != "" || row.WarmUpStart != nil {
		t.Errorf("left of the limits: %+v", row)
	}
}

func TestInstancesThatCannotBe(t *testing.T) {
	t.Parallel()
	env := servers(t)
	tests := map[string]struct {
		stdin string
		args  []string
		want  int
		says  string
	}{
		"cloud without a number":    {args: []string{"x", "--gateway", "cloud"}, want: exitUsage, says: "--phone-number-id"},
		"cloud with a phone number": {args: []string{"x", "--gateway", "cloud", "--phone-number-id", "+52155"}, want: exitUsage, says: "digits"},
		"number of another gateway": {args: []string{"x", "--phone-number-id", "100000000000001"}, want: exitUsage, says: "only --gateway cloud"},
		"unknown gateway":           {args: []string{"x", "--gateway", "pigeon"}, want: exitUsage, says: "cloud or sandbox"},
		"bad name":                  {args: []string{"a/b"}, want: exitFailed, says: "must be"},
		"credential without a key":  {stdin: "hunter2", args: []string{"x", "--credential-file", "-"}, want: exitFailed, says: "SECRET_KEY"},
		"empty credential":          {args: []string{"x", "--credential-file", "-"}, want: exitFailed, says: "nothing"},
		"missing file":              {args: []string{"x", "--credential-file", "/nowhere"}, want: exitFailed, says: "credential-file"},
		"short webhook token":       {stdin: "hunter2", args: []string{"x", "--webhook-token-file", "-"}, want: exitFailed, says: "16"},
		"password in the URL":       {args: []string{"x", "--base-url", "http://u:hunter2@h"}, want: exitUsage, says: "--base-url"},
		"no URL":                    {args: []string{"x", "--base-url", "hunter2"}, want: exitUsage, says: "https://"},
		"negative rate":             {args: []string{"x", "--rate-per-minute", "-1"}, want: exitUsage, says: "from 0"},
		"gap without an end":        {args: []string{"x", "--gap-ms", "1000"}, want: exitUsage, says: "such as 1000-4000"},
		"gap the wrong way round":   {args: []string{"x", "--gap-ms", "4000-1000"}, want: exitUsage, says: "[min, max]"},
		"warm-up to nowhere":        {args: []string{"x", "--warm-up", "20/14"}, want: exitUsage, says: "daily_cap"},
		"credential as an argument": {args: []string{"x", "--credential", "hunter2"}, want: exitUsage, says: "not defined"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := env.feed(t, tt.stdin, append([]string{"instances", "put"}, tt.args...)...).want(t, tt.want)
			if !strings.Contains(got.stderr, tt.says) || strings.Contains(got.stderr, "hunter2") {
				t.Errorf("stderr: %s", got.stderr)
			}
		})
	}
}

func TestSandboxInstanceFindsTheSandbox(t *testing.T) {
	t.Parallel()
	env := servers(t).and("SANDBOX_ADDR", ":4010")
	got := as[instance](t, env.run(t, "instances", "put", "x", "--gateway", "sandbox", "-o", "json").want(t, exitOK))
	if diff := cmp.Diff(new("http://127.0.0.1:4010"), got.BaseURL); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPauseResumeAndDelete(t *testing.T) {
	t.Parallel()
	env := servers(t)
	env.run(t, "instances", "put", "sales").want(t, exitOK)

	paused := as[instance](t, env.run(t, "instances", "pause", "sales", "-o", "json").want(t, exitOK))
	if paused.PausedAt == nil || paused.PauseReason == nil || *paused.PauseReason != "operator" {
		t.Errorf("paused: %+v", paused)
	}
	if text := env.run(t, "instances", "list").stdout; !strings.Contains(text, "paused: operator") {
		t.Errorf("list does not show the pause:\n%s", text)
	}
	if resumed := as[instance](t, env.run(t, "instances", "resume", "sales", "-o", "json").want(t, exitOK)); resumed.PausedAt != nil {
		t.Errorf("resumed: %+v", resumed)
	}
	env.run(t, "instances", "delete", "sales").want(t, exitOK)
	for _, verb := range []string{"delete", "show", "pause", "resume"} {
		got := env.run(t, "instances", verb, "sales").want(t, exitFailed)
		if !strings.Contains(got.stderr, `no instance "sales"`) {
			t.Errorf("%s: %s", verb, got.stderr)
		}
	}
}
