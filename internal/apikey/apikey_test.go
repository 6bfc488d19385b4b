package apikey_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestAKeyWorksUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	q := db.New(pool)
	want := apikey.Key{Name: "shop", Scopes: []string{"send", "read"}, Instances: []string{"sales"}}
	id, token, err := apikey.Create(t.Context(), q, want)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^mo_[A-Za-z0-9_-]{43}$`).MatchString(token.Reveal()) {
		t.Errorf("the token has %d characters and begins %.3s", len(token.Reveal()), token.Reveal())
	}
	got, err := apikey.NewFinder(q, "").Find(t.Context(), token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
	if _, err := q.RevokeKey(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := apikey.NewFinder(q, "").Find(t.Context(), token.Reveal()); fault.Of(err).Kind != fault.Denied {
		t.Errorf("after it was revoked: %v, want denied", err)
	}
}

func TestATokenIsNotStored(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	_, token, err := apikey.Create(t.Context(), db.New(pool), apikey.Key{Name: "shop", Scopes: []string{"send"}})
	if err != nil {
		t.Fatal(err)
	}
	var row string
	if err := pool.QueryRow(t.Context(), "SELECT k::text FROM api_keys k").Scan(&row); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(row, token.Reveal()) || strings.Contains(row, strings.TrimPrefix(token.Reveal(), "mo_")) {
		t.Errorf("the row holds the token: %s", row)
	}
}

func TestEveryTokenIsNew(t *testing.T) {
	t.Parallel()
	q := db.New(testenv.Pool(t))
	seen := map[string]bool{}
	for range 20 {
		_, token, err := apikey.Create(t.Context(), q, apikey.Key{Name: "shop", Scopes: []string{"send"}})
		if err != nil {
			t.Fatal(err)
		}
		seen[token.Reveal()] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d tokens, want 20", len(seen))
	}
}

func TestWhatIsNoKeyIsDenied(t *testing.T) {
	t.Parallel()
	q := db.New(testenv.Pool(t))
	for _, token := range []string{"", "mo_", "mo_unknown", "\x00", "\xff", strings.Repeat("a", 100_000)} {
		if _, err := apikey.NewFinder(q, "master").Find(t.Context(), token); fault.Of(err) == nil || fault.Of(err).Kind != fault.Denied {
			t.Errorf("%.10q: %v, want denied", token, err)
		}
	}
	if _, err := apikey.NewFinder(q, "").Find(t.Context(), ""); fault.Of(err) == nil || fault.Of(err).Kind != fault.Denied {
		t.Errorf("nothing, without a master key: %v, want denied", err)
	}
}

func TestTheMasterKeyMayDoEverything(t *testing.T) {
	t.Parallel()
	key, err := apikey.NewFinder(nil, "master").Find(t.Context(), "master") // it needs no database
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range apikey.Scopes() {
		if !key.May(scope) {
			t.Errorf("it may not %s", scope)
		}
	}
	if !key.Reaches("anything") {
		t.Error("it does not reach an instance")
	}
}

func TestScopesAndInstancesLimitAKey(t *testing.T) {
	t.Parallel()
	k := apikey.Key{Scopes: []string{"read"}, Instances: []string{"sales"}}
	if !k.May("read") || k.May("send") || k.May("manage") || k.May("") {
		t.Error("a key with the scope read may do something else")
	}
	if !k.Reaches("sales") || k.Reaches("support") || k.Reaches("Sales") || k.Reaches("") {
		t.Error("a key for sales reaches something else")
	}
	if !(apikey.Key{}).Reaches("support") {
		t.Error("a key without instances does not reach every one")
	}
}

func TestWhatAKeyCannotBe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		give  apikey.Key
		field string
	}{
		{"no name", apikey.Key{Scopes: []string{"send"}}, "name"},
		{"a blank name", apikey.Key{Name: " \t", Scopes: []string{"send"}}, "name"},
		{"a long name", apikey.Key{Name: strings.Repeat("a", 129), Scopes: []string{"send"}}, "name"},
		{"a name with NUL", apikey.Key{Name: "a\x00", Scopes: []string{"send"}}, "name"},
		{"a name of broken UTF-8", apikey.Key{Name: "a\xff", Scopes: []string{"send"}}, "name"},
		{"no scopes", apikey.Key{Name: "a"}, "scopes"},
		{"an unknown scope", apikey.Key{Name: "a", Scopes: []string{"send", "everything"}}, "scopes"},
		{"an instance that cannot be", apikey.Key{Name: "a", Scopes: []string{"send"}, Instances: []string{"a/b"}}, "instances"},
	}
	q := db.New(testenv.Pool(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, token, err := apikey.Create(t.Context(), q, tt.give)
			if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Field != tt.field {
				t.Errorf("error = %v, want one about %s", err, tt.field)
			}
			if id != uuid.Nil || token != "" {
				t.Errorf("it made %v all the same", id)
			}
		})
	}
}

func TestAnEmptySecretEqualsNothing(t *testing.T) {
	t.Parallel()
	if apikey.Equal("", "") || apikey.Equal("a", "") || apikey.Equal("", "a") || apikey.Equal("a", "b") {
		t.Error("different tokens are equal")
	}
	if !apikey.Equal("a", "a") || !apikey.HashEqual("a", apikey.Hash("a")) {
		t.Error("equal tokens are not")
	}
	if apikey.HashEqual("", nil) || apikey.HashEqual("a", nil) || apikey.HashEqual("a", []byte("a")) {
		t.Error("a token equals what is not its hash")
	}
}
