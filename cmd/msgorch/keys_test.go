package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestKeyWorksUntilItIsRevokedAndItsTokenIsShownOnce(t *testing.T) {
	t.Parallel()
	env := servers(t)
	q := db.New(testenv.PoolOn(t, env["DATABASE_URL"]))

	made := env.run(t, "keys", "create", "--name", "shop", "--scope", "send", "--scope", "read", "--instance", "sales").want(t, exitOK)
	token := strings.TrimSpace(made.stdout)
	if !strings.Contains(made.stderr, "not be shown again") {
		t.Errorf("nobody is told that the token is shown once: %s", made.stderr)
	}
	got, err := apikey.NewFinder(q, "").Find(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := apikey.Key{Name: "shop", Scopes: []string{"send", "read"}, Instances: []string{"sales"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}

	text := env.run(t, "keys", "list").want(t, exitOK).stdout
	listed := env.run(t, "-o", "json", "keys", "list").want(t, exitOK)
	if strings.Contains(text+listed.stdout, token) || !strings.Contains(text, "shop") {
		t.Errorf("list:\n%s%s", text, listed.stdout)
	}
	id := as[page[key]](t, listed).Data[0].ID.String()

	env.run(t, "keys", "revoke", id).want(t, exitOK)
	if _, err := apikey.NewFinder(q, "").Find(t.Context(), token); err == nil {
		t.Error("a revoked key works")
	}
	env.run(t, "keys", "revoke", id).want(t, exitFailed)
	env.run(t, "keys", "revoke", "0199a1b2-0000-7000-8000-000000000000").want(t, exitFailed)
}

func TestKeyAsJSON(t *testing.T) {
	t.Parallel()
	env := servers(t)
	made := as[key](t, env.run(t, "keys", "create", "--name", "n", "--scope", "manage", "-o", "json").want(t, exitOK))
	if made.Token == "" || made.Name != "n" || made.Instances == nil {
		t.Errorf("made %+v", made)
	}
	if got := env.run(t, "keys", "create", "--name", "n", "--scope", "everything").want(t, exitFailed); !strings.Contains(got.stderr, "manage") {
		t.Errorf("stderr does not say which scopes there are: %s", got.stderr)
	}
}
