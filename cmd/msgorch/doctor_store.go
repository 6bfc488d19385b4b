package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"code.dny.dev/ssrf"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/egress"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/migrations"
)

// How gateways are called.
const (
	gatewayPatience = 3 * time.Second
	gatewaysAtOnce  = 16
)

func (d *doctor) checkMigrations(ctx context.Context, databaseURL string) bool {
	const part = "migrations"
	s, err := migrations.Status(ctx, databaseURL)
	switch {
	case err != nil:
		d.fail(part, "give the user of DATABASE_URL the right to create tables", "%v", err)
	case s.Dirty:
		d.fail(part, "look at the database, then set schema_migrations right", "step %d failed half-way", s.Version)
	case s.Version < s.Latest:
		d.fail(part, "msgorch migrate up", "the database is at step %d of %d", s.Version, s.Latest)
	case s.Version > s.Latest:
		d.fail(part, "use the newer programs", "the database is at step %d, this program knows %d", s.Version, s.Latest)
	default:
		d.ok(part, "step %d of %d", s.Version, s.Latest)
		return true
	}
	return false
}

// checkCredentials tries to open what is sealed.
func (d *doctor) checkCredentials(secretKey []byte, instances []db.Instance) {
	const part = "credentials"
	box, err := secret.NewBox(secretKey)
	if err != nil {
		d.fail(part, "mend SECRET_KEY", "%v", err)
		return
	}
	stored, opened := 0, 0
	for _, i := range instances {
		if len(i.Credential) == 0 {
			continue
		}
		stored++
		if _, err := box.Open(outbound.CredentialContext(i.Name), i.Credential); err != nil {
			d.fail(part, "set the SECRET_KEY that sealed it, or msgorch instances put "+i.Name+" --credential-file …", "that of %s %s", i.Name, unopened(err))
			continue
		}
		opened++
	}
	switch stored {
	case 0:
		d.ok(part, "none is stored")
	case opened:
		d.ok(part, "SECRET_KEY opens all %d", stored)
	}
}

// unopened says why a credential cannot be read.
func unopened(err error) string {
	switch {
	case errors.Is(err, secret.ErrNoKey):
		return "is stored, but SECRET_KEY is not set"
	case errors.Is(err, secret.ErrWrongKey):
		return "was sealed with another SECRET_KEY"
	}
	return "is damaged"
}

// checkInstances says of each instance whether it can send.
func (d *doctor) checkInstances(ctx context.Context, cfg config.Config, instances []db.Instance, offline bool) {
	if len(instances) == 0 {
		d.warn("instances", "msgorch instances put NAME …", "there is none yet")
		return
	}
	var answers map[string]error
	if !offline {
		answers = callAll(ctx, cfg, instances)
	}
	for _, i := range instances {
		part, base := "instance "+i.Name, baseURL(cfg, i)
		switch {
		case base == "":
			d.fail(part, "msgorch instances put "+i.Name+" --base-url …, or set EVOLUTION_BASE_URL", "has no base URL")
			continue
		case answers[base] != nil:
			d.fail(part, unreachable(answers[base], i.Name), "%s does not answer: %v", base, answers[base])
		case offline:
			d.ok(part, "%s, not called", base)
		default:
			d.ok(part, "%s answers; session: %s", base, i.Connection)
		}
		if i.Gateway == gatewayEvolution && len(i.Credential) == 0 && cfg.EvolutionAPIKey == "" {
			d.warn(part, "msgorch instances put "+i.Name+" --credential-file …, or set EVOLUTION_API_KEY", "has no credential")
		}
		if i.PausedAt != nil {
			d.warn(part, "mend that, then msgorch instances resume "+i.Name, "%s since %s", instanceOf(i).state(), clock(*i.PausedAt, time.Now()))
		}
	}
}

// unreachable says what to do about a gateway that does not answer.
func unreachable(err error, instance string) string {
	if errors.Is(err, ssrf.ErrProhibitedIP) {
		return "set ALLOW_PRIVATE_TARGETS=true for the workers, if that is where it is meant to be"
	}
	return "start the gateway, or msgorch instances put " + instance + " --base-url …"
}

// baseURL is where the workers find the gateway of an instance.
func baseURL(cfg config.Config, i db.Instance) string {
	if i.BaseUrl != "" {
		return i.BaseUrl
	}
	return cfg.EvolutionBaseURL
}

// callAll calls each gateway once, as the workers would, and returns why those
// that do not answer do not.
func callAll(ctx context.Context, cfg config.Config, instances []db.Instance) map[string]error {
	client := egress.NewClient(cfg.AllowPrivateTargets)
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	errs := map[string]error{}
	var calls sync.WaitGroup
	slots := make(chan struct{}, gatewaysAtOnce)
	called := map[string]bool{}
	for _, i := range instances {
		base := baseURL(cfg, i)
		if base == "" || called[base] {
			continue
		}
		called[base] = true
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			err := call(ctx, client, base)
			mu.Lock()
			defer mu.Unlock()
			errs[base] = err
		})
	}
	calls.Wait()
	return errs
}

// call returns nil when a gateway answers anything at all.
func call(ctx context.Context, client *http.Client, base string) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err // without the address, which the caller knows
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
