// Package apikey makes and checks the keys of the public API. A key is random,
// so a plain hash is enough to store it: there is nothing to guess.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/coalesce"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/tasks"
)

// prefix lets people and scanners recognise a leaked key.
const prefix = "mo_"

// Scopes that a key can have.
const (
	ScopeSend   = "send"   // accept messages
	ScopeRead   = "read"   // look at messages and chats
	ScopeManage = "manage" // change instances
)

// Scopes returns all scopes.
func Scopes() []string { return []string{ScopeSend, ScopeRead, ScopeManage} }

// Key says what its bearer may do.
type Key struct {
	Name      string
	Scopes    []string
	Instances []string // names; empty: every one
}

// May reports whether the key has a scope.
func (k Key) May(scope string) bool { return slices.Contains(k.Scopes, scope) }

// Reaches reports whether the key is good for an instance.
func (k Key) Reaches(instance string) bool {
	return len(k.Instances) == 0 || slices.Contains(k.Instances, instance)
}

// Create makes and stores a key. The token is shown once: only its hash is kept.
func Create(ctx context.Context, q *db.Queries, k Key) (id uuid.UUID, token secret.Text, err error) {
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > 128 || strings.ContainsRune(k.Name, 0) || !utf8.ValidString(k.Name) {
		return id, "", fault.New(fault.Invalid, "invalid_name", "A key needs a name of at most 128 bytes.").At("name")
	}
	if len(k.Scopes) == 0 {
		return id, "", fault.New(fault.Invalid, "invalid_scopes", "A key needs at least one scope: send, read or manage.").At("scopes")
	}
	for _, s := range k.Scopes {
		if !slices.Contains(Scopes(), s) {
			return id, "", fault.New(fault.Invalid, "invalid_scopes", "A scope is send, read or manage.").At("scopes")
		}
	}
	for _, i := range k.Instances {
		if err := tasks.CheckInstance(i); err != nil {
			return id, "", fault.New(fault.Invalid, "invalid_instance", "An instance's name is not valid.").At("instances").Because(err)
		}
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token = secret.Text(prefix + base64.RawURLEncoding.EncodeToString(random))
	id = uuid.Must(uuid.NewV7())
	instances := k.Instances
	if instances == nil {
		instances = []string{}
	}
	return id, token, q.CreateKey(ctx, db.CreateKeyParams{
		ID: id, Name: k.Name, Hash: Hash(token.Reveal()), Scopes: k.Scopes, Instances: instances,
	})
}

// Hash returns what is stored of a token.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Equal compares two tokens in a time that tells nothing about them. An empty
// want equals nothing.
func Equal(given string, want secret.Text) bool {
	return want != "" && HashEqual(given, Hash(want.Reveal()))
}

// HashEqual compares a token with a stored hash in constant time.
func HashEqual(given string, hash []byte) bool {
	return subtle.ConstantTimeCompare(Hash(given), hash) == 1
}

// Finder tells what the bearers of tokens may do. Requests that come together are
// one query. It asks each time, so that a key ends when it is revoked. It is safe
// for concurrent use.
type Finder struct {
	master secret.Text
	keys   *coalesce.Group[string, *db.ApiKey] // by hash
}

// NewFinder returns a Finder. master is a key with every scope that always works;
// empty: there is none.
func NewFinder(q *db.Queries, master secret.Text) *Finder {
	hashOf := func(k db.ApiKey) string { return string(k.Hash) }
	return &Finder{master: master, keys: coalesce.Lookup(db.Refused, hashOf, func(ctx context.Context, hashes []string) ([]db.ApiKey, error) {
		asked := make([][]byte, len(hashes))
		for i, h := range hashes {
			asked[i] = []byte(h)
		}
		return q.KeysByHash(ctx, asked)
	})}
}

// Find returns what the bearer of token may do. It fails with fault.Denied when
// nothing: the key is unknown or revoked.
func (f *Finder) Find(ctx context.Context, token string) (Key, error) {
	if Equal(token, f.master) {
		return Key{Name: "API_TOKEN", Scopes: Scopes()}, nil
	}
	row, err := f.keys.Do(ctx, string(Hash(token)))
	switch {
	case err != nil:
		return Key{}, err
	case row == nil:
		return Key{}, fault.New(fault.Denied, "invalid_key", "The API key is not valid.")
	}
	return Key{Name: row.Name, Scopes: row.Scopes, Instances: row.Instances}, nil
}
