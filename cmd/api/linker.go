package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/console"
	"github.com/msgorch/msgorch/internal/egress"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
)

// linker implements console.Linker on our rows and the gateways they name.
type linker struct {
	q     *db.Queries
	box   *secret.Box
	admin *evolution.Admin
	base  gateway.Account // the default gateway
}

func newLinker(pool *pgxpool.Pool, box *secret.Box, cfg config.Config) *linker {
	return &linker{
		db.New(pool), box, evolution.NewAdmin(egress.NewClient(cfg.AllowPrivateTargets)),
		gateway.Account{BaseURL: cfg.EvolutionBaseURL, Credential: cfg.EvolutionAPIKey},
	}
}

// Instances implements console.Linker.
func (l *linker) Instances(ctx context.Context) ([]console.Instance, error) {
	const atOnce = 500
	var all []console.Instance
	for after := ""; ; {
		rows, err := l.q.ListInstances(ctx, db.ListInstancesParams{AfterName: after, Names: []string{}, MaxRows: atOnce})
		if err != nil {
			return nil, err
		}
		for _, i := range rows {
			after = i.Name
			all = append(all, console.Instance{Name: i.Name, Gateway: i.Gateway, State: stateOf(i)})
		}
		if len(rows) < atOnce {
			return all, nil
		}
	}
}

func stateOf(i db.Instance) string {
	if i.PausedAt == nil {
		return i.Connection
	}
	return i.Connection + ", paused: " + *cmp.Or(i.PauseReason, new("operator"))
}

// Link implements console.Linker.
func (l *linker) Link(ctx context.Context, name string, begin bool) (gateway.Link, error) {
	i, err := l.q.InstanceByName(ctx, name)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return gateway.Link{}, fault.New(fault.NotFound, "unknown_instance", "There is no instance of this name.")
	case err != nil:
		return gateway.Link{}, err
	case i.Gateway == "cloud":
		return gateway.Link{}, fault.New(fault.Invalid, "nothing_to_scan", "A number of the Cloud API has nothing to scan.")
	}
	at := l.base
	at.Instance, at.BaseURL = name, cmp.Or(i.BaseUrl, at.BaseURL)
	if at.BaseURL == "" {
		return gateway.Link{}, fault.New(fault.Invalid, "no_base_url", "The instance has no base URL, and there is no default one (EVOLUTION_BASE_URL).")
	}
	if len(i.Credential) > 0 {
		if at.Credential, err = l.box.Open(outbound.CredentialContext(name), i.Credential); err != nil {
			return gateway.Link{}, fault.New(fault.Invalid, "credential_unreadable", "The stored credential cannot be opened: "+err.Error())
		}
	}
	return l.ask(ctx, at, begin)
}

// ask looks before it asks for a code, as that would begin a session: also one
// that WhatsApp is just beginning again, after the scan.
func (l *linker) ask(ctx context.Context, at gateway.Account, begin bool) (gateway.Link, error) {
	state, err := l.admin.State(ctx, at)
	if err != nil || state == gateway.ConnectionOpen || state != "connecting" && !begin {
		return gateway.Link{State: state}, err
	}
	return l.admin.Link(ctx, at, "")
}
