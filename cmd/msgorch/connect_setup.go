package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
)

// callTimeout is for one call of the gateway, which may have to begin a session
// for it.
const callTimeout = time.Minute

// look asks the gateway what there is, and refuses before anything was changed.
func (s *connection) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var err error
	if s.version, err = s.admin.Version(ctx, s.at); err != nil {
		return s.unreached(err)
	}
	if strings.HasPrefix(s.version, "1.") {
		return fmt.Errorf("this is Evolution API %s, and this command speaks with version 2; update it to 2.3.7", printable(s.version))
	}
	there, err := s.admin.Find(ctx, s.at)
	if err != nil {
		return s.unreached(err)
	}
	if there == nil {
		s.url, err = s.webhookURL()
		return err
	}
	s.there = *there
	if s.there.Integration != "" && s.there.Integration != evolution.Baileys {
		return fmt.Errorf("the gateway has %q as an instance of %s, not of WhatsApp Web; the Cloud API needs no Evolution: msgorch instances put --gateway cloud",
			s.name, printable(s.there.Integration))
	}
	if err := s.readHook(ctx); err != nil {
		return err
	}
	s.url, err = s.webhookURL()
	return err
}

// unreached adds to a failed call what the operator can do about it.
func (s *connection) unreached(err error) error {
	f := fault.Of(err)
	if f.Code == "connect_failed" && !s.cfg.AllowPrivateTargets {
		return fmt.Errorf("%s If it is on a private address, set ALLOW_PRIVATE_TARGETS=true. %w", f.Detail, f.Err)
	}
	return err
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "an address that is none"
	}
	return printable(u.Host)
}

// setUp makes at the gateway and here what is missing, each step of which may be
// the last: the same command goes on from there.
func (s *connection) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	if err := s.create(ctx); err != nil {
		return err
	}
	if err := s.readHook(ctx); err != nil {
		return err
	}
	token, err := s.register(ctx)
	if err != nil {
		return err
	}
	return s.setHook(ctx, token)
}

// create makes the instance at the gateway, unless it is there.
func (s *connection) create(ctx context.Context) error {
	if s.there.State != "" {
		return nil
	}
	token, err := s.admin.Create(ctx, s.at)
	if err == nil {
		s.there = evolution.Instance{Integration: evolution.Baileys, State: "close", Token: token}
		s.change("made at the gateway")
		return nil
	}
	switch fault.Of(err).Code {
	case "name_in_use": // meanwhile, or it shows it to nobody
	case "bad_credentials":
		return errors.New("the gateway does not accept the key for making an instance, which takes the server's own (AUTHENTICATION_API_KEY)")
	default:
		return err
	}
	there, err := s.admin.Find(ctx, s.at)
	if err != nil {
		return err
	}
	if there != nil {
		s.there = *there
		return nil
	}
	s.there.State, err = s.admin.State(ctx, s.at)
	return err
}

// readHook finds out where the gateway reports to, once. Somebody else's webhook
// is not ours to take.
func (s *connection) readHook(ctx context.Context) (err error) {
	if s.hooked {
		return nil
	}
	if s.hook, err = s.admin.Webhook(ctx, s.at); err != nil {
		return err
	}
	s.hooked = true
	if s.hook.Enabled && !s.isOurs(s.hook.URL) && !s.order.replace {
		return fmt.Errorf("its webhook goes to somebody else (%s), who would hear nothing any more; --replace-webhook takes it over", hostOf(s.hook.URL))
	}
	return nil
}

// register stores the instance, and returns the webhook token that its gateway
// must be given; empty if it has the right one.
//
// Two places cannot change at the same moment, so we first take the new token
// beside the one that the gateway shows, and only then give it the new one.
// Whatever fails in between, what the gateway shows is taken.
func (s *connection) register(ctx context.Context) (token secret.Text, err error) {
	p := db.PutInstanceParams{Name: s.name, Gateway: gatewayEvolution, BaseUrl: firstOf(s.order.baseURL, s.row.BaseUrl)}
	put := s.row.ID == 0 || p.BaseUrl != s.row.BaseUrl
	switch {
	case s.row.ID == 0:
		s.change("registered here")
	case put:
		s.change("base URL")
	}
	credential, err := s.credential(ctx)
	if err != nil {
		return "", err
	}
	if credential != "" && credential != s.stored() {
		if p.Credential, err = s.box.Seal(outbound.CredentialContext(s.name), credential); err != nil {
			return "", err
		}
		put = true
		s.change("credential")
	}
	shown := strings.TrimPrefix(s.hook.Header("Authorization"), "Bearer ")
	rotate := s.hook.Header("jwt_key") != "" || !apikey.HashEqual(shown, s.row.WebhookTokenHash)
	if rotate {
		token = secret.Text(random())
		s.change("webhook token")
	}
	return token, db.InTx(ctx, s.pool, func(q *db.Queries) error {
		if put {
			if _, err := q.PutInstance(ctx, p); err != nil {
				return fmt.Errorf("put instance: %w", err)
			}
		}
		if !rotate {
			return nil
		}
		return q.RotateWebhookToken(ctx, db.RotateWebhookTokenParams{
			Name: s.name, WebhookTokenHash: apikey.Hash(token.Reveal()), PreviousWebhookTokenHash: s.previous(shown),
		})
	})
}

// credential returns the key to store: the instance's own, so that ours need not
// reach every instance of the server; else the one that the operator named.
func (s *connection) credential(ctx context.Context) (secret.Text, error) {
	if s.there.Token == "" {
		return s.order.credential, nil
	}
	own := s.at
	own.Credential = s.there.Token
	_, err := s.admin.State(ctx, own)
	if err != nil && fault.Of(err).Code == "bad_credentials" { // a server may keep them and not take them
		return s.order.credential, nil
	}
	return s.there.Token, err
}

// previous returns the hash of the token that must count beside a new one: what
// the gateway shows now, if we take that; nil if nothing.
func (s *connection) previous(shown string) []byte {
	switch {
	case shown == "": // it has none, or does not say
		return s.row.WebhookTokenHash
	case apikey.HashEqual(shown, s.row.WebhookTokenHash), apikey.HashEqual(shown, s.row.PreviousWebhookTokenHash):
		return apikey.Hash(shown)
	case s.row.WebhookTokenHash == nil && (apikey.Equal(shown, s.cfg.WebhookToken) || s.isOurs(s.hook.URL)):
		return apikey.Hash(shown) // the API's WEBHOOK_TOKEN, which need not be ours
	}
	return nil
}

// setHook has the gateway report to us, if it does not, or not with our token.
func (s *connection) setHook(ctx context.Context, token secret.Text) error {
	want := evolution.Webhook{Enabled: true, URL: s.url, Events: evolution.Events(), Headers: map[string]secret.Text{}}
	differences := s.hook.Differs(want)
	if token == "" && len(differences) == 0 {
		return nil
	}
	maps.Copy(want.Headers, s.hook.Headers)
	maps.DeleteFunc(want.Headers, func(name string, _ secret.Text) bool {
		return strings.EqualFold(name, "jwt_key") || token != "" && strings.EqualFold(name, "Authorization")
	})
	if token != "" {
		want.Headers["Authorization"] = secret.Text("Bearer " + token.Reveal())
	}
	if err := s.admin.SetWebhook(ctx, s.at, want); err != nil {
		return err
	}
	switch {
	case s.hook.URL == "":
		s.change("webhook")
	case len(differences) > 0:
		s.change("webhook, which " + strings.Join(differences, ", "))
	}
	return nil
}

// change notes what was changed, and tells it at once.
func (s *connection) change(what string) {
	s.changed = append(s.changed, what)
	if s.format != formatJSON {
		s.say("  %s\n", what)
	}
}
