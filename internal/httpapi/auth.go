package httpapi

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
)

type keyContext struct{}

// authenticate lets a request through whose key has the scope that its
// operation needs.
func (s *server) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		scope, _ := ctx.Operation().Metadata[scopeKey].(string)
		if scope == openScope || scope == webhookScope {
			next(ctx)
			return
		}
		key, err := s.keyOf(ctx.Context(), ctx.Header("Authorization"))
		if err == nil && !key.May(scope) {
			err = fault.New(fault.Forbidden, "missing_scope", "The API key does not have the scope "+scope+".")
		}
		if err != nil {
			s.refuse(api, ctx, err)
			return
		}
		next(huma.WithValue(ctx, keyContext{}, key))
	}
}

func (s *server) keyOf(ctx context.Context, authorization string) (apikey.Key, error) {
	token := bearer(authorization)
	if token == "" {
		return apikey.Key{}, fault.New(fault.Denied, "missing_key", "The request needs the header Authorization: Bearer KEY.")
	}
	key, err := s.keys.Find(ctx, token)
	if err != nil && db.Away(err) {
		err = databaseAway(err)
	}
	return key, err
}

// refuse answers from a middleware, as huma answers from a handler.
func (s *server) refuse(api huma.API, ctx huma.Context, err error) {
	answer := s.fail(ctx.Context(), "header", err)
	if h, ok := answer.(huma.HeadersError); ok { //nolint:errorlint // fail returns it unwrapped
		for name, values := range h.GetHeaders() {
			ctx.SetHeader(name, values[0])
		}
	}
	f := fault.Of(err)
	p := newProblem(statusOf(f.Kind), f.Code, f.Detail)
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", p) // the client may be gone
}

// bearer returns the token of an Authorization header, or nothing.
func bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// keyFrom returns the key that authenticate let through.
func keyFrom(ctx context.Context) apikey.Key {
	key, _ := ctx.Value(keyContext{}).(apikey.Key)
	return key
}

// reach fails when the request's key is not good for an instance.
func reach(ctx context.Context, instance string) error {
	if !keyFrom(ctx).Reaches(instance) {
		return fault.New(fault.Forbidden, "instance_forbidden", "The API key is not good for this instance.")
	}
	return nil
}
