package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/tasks"
)

func (a *app) instances() *cli.Command {
	return &cli.Command{
		Name:  "instances",
		Usage: "keep the WhatsApp numbers and the gateways they are behind",
		Description: "msgorch instances connect sales\n" +
			"msgorch instances put sales --gateway evolution --base-url https://evolution.example \\\n" +
			"  --credential-file ./apikey --webhook-token-file ./webhook-token\n" +
			"pass show evolution | msgorch instances put sales --credential-file -\n" +
			"msgorch instances pause sales",
		Commands: []*cli.Command{
			{Name: "list", Usage: "list instances", Action: a.listInstances},
			{Name: "show", Usage: "show one; never its secrets", ArgsUsage: "NAME", Action: a.showInstance},
			a.connectInstanceCommand(),
			a.putInstanceCommand(),
			{Name: "delete", Usage: "forget its secrets and cancel what it has not sent; its history stays", ArgsUsage: "NAME", Action: a.deleteInstance},
			{Name: "pause", Usage: "send nothing through it until it is resumed", ArgsUsage: "NAME", Action: a.pauseInstance},
			{Name: "resume", Usage: "end a pause, whoever began it", ArgsUsage: "NAME", Action: a.resumeInstance},
		},
	}
}

// instance is an instance as the operator sees it.
type instance struct {
	Name            string     `json:"name"`
	Gateway         string     `json:"gateway"`
	BaseURL         *string    `json:"base_url"` // nil: EVOLUTION_BASE_URL
	HasCredential   bool       `json:"has_credential"`
	HasWebhookToken bool       `json:"has_webhook_token"`
	RatePerMinute   *int32     `json:"rate_per_minute"`
	Limits          string     `json:"limits"` // all of them, in words
	InDoubt         string     `json:"in_doubt"`
	Connection      string     `json:"connection"`
	PausedAt        *time.Time `json:"paused_at"`
	PauseReason     *string    `json:"pause_reason"`
	BlockedUntil    *time.Time `json:"blocked_until"`
	BlockReason     *string    `json:"block_reason"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
}

func instanceOf(i db.Instance) instance {
	out := instance{
		Name: i.Name, Gateway: i.Gateway,
		HasCredential: len(i.Credential) > 0, HasWebhookToken: len(i.WebhookTokenHash) > 0,
		RatePerMinute: i.RatePerMinute, Limits: limitsOf(i), InDoubt: i.InDoubt, Connection: i.Connection,
		PausedAt: i.PausedAt, PauseReason: i.PauseReason,
		CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(),
	}
	if i.BaseUrl != "" {
		out.BaseURL = &i.BaseUrl
	}
	if i.BlockedUntil != nil && i.BlockedUntil.After(time.Now()) {
		out.BlockedUntil, out.BlockReason = i.BlockedUntil, i.BlockReason
	}
	return out
}

// limitsOf says in a few words how fast an instance may send.
func limitsOf(i db.Instance) string {
	var all []string
	rate := func(what string, rate, burst *int32) {
		if rate == nil {
			return
		}
		limit := fmt.Sprintf("%s%d/min", what, *rate)
		if burst != nil {
			limit += fmt.Sprintf(", %d at once", *burst)
		}
		all = append(all, limit)
	}
	rate("", i.RatePerMinute, i.Burst)
	rate("each chat ", i.ChatRatePerMinute, i.ChatBurst)
	if i.GapMinMs != nil && i.GapMaxMs != nil {
		all = append(all, fmt.Sprintf("gaps of %d-%d ms", *i.GapMinMs, *i.GapMaxMs))
	}
	if most, sent, ok := outbound.CapToday(i, time.Now()); ok {
		today := fmt.Sprintf("%d/day", *i.DailyCap)
		if most < int(*i.DailyCap) {
			today += fmt.Sprintf(", today %d", most)
		}
		all = append(all, fmt.Sprintf("%s, %d sent", today, sent))
	}
	return strings.Join(all, "; ")
}

// state says in a few words whether messages go through.
func (i instance) state() string {
	switch {
	case i.PausedAt == nil && i.BlockReason != nil:
		return "blocked: " + *i.BlockReason
	case i.PausedAt == nil:
		return i.Connection
	}
	if i.PauseReason == nil {
		return "paused"
	}
	return "paused: " + *i.PauseReason
}

func (a *app) listInstances(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	rows, err := allInstances(ctx, db.New(pool))
	if err != nil {
		return err
	}
	list := page[instance]{Data: make([]instance, len(rows))}
	for n, i := range rows {
		list.Data[n] = instanceOf(i)
	}
	return a.print(list, func() {
		a.table([]string{"NAME", "GATEWAY", "BASE URL", "CREDENTIAL", "RATE/MIN", "STATE"}, instanceRows(list.Data))
	})
}

// allInstances returns every instance by name.
func allInstances(ctx context.Context, q *db.Queries) ([]db.Instance, error) {
	const atOnce = 500
	var all []db.Instance
	after := ""
	for {
		rows, err := q.ListInstances(ctx, db.ListInstancesParams{AfterName: after, Names: []string{}, MaxRows: atOnce})
		if err != nil {
			return nil, fmt.Errorf("list instances: %w", err)
		}
		all = append(all, rows...)
		if len(rows) < atOnce {
			return all, nil
		}
		after = rows[len(rows)-1].Name
	}
}

func instanceRows(list []instance) [][]string {
	rows := make([][]string, len(list))
	for n, i := range list {
		credential := "no"
		if i.HasCredential {
			credential = "yes"
		}
		rows[n] = []string{i.Name, i.Gateway, orDash(deref(i.BaseURL)), credential, i.rate(), i.state()}
	}
	return rows
}

func (i instance) rate() string {
	if i.RatePerMinute == nil {
		return "-"
	}
	return strconv.Itoa(int(*i.RatePerMinute))
}

func (a *app) showInstance(ctx context.Context, c *cli.Command) error {
	return a.withInstance(ctx, c, (*db.Queries).InstanceByName)
}

func (a *app) pauseInstance(ctx context.Context, c *cli.Command) error {
	return a.withInstance(ctx, c, (*db.Queries).HoldInstance)
}

func (a *app) resumeInstance(ctx context.Context, c *cli.Command) error {
	return a.withInstance(ctx, c, func(q *db.Queries, ctx context.Context, name string) (db.Instance, error) {
		i, err := q.ResumeInstance(ctx, name)
		if err != nil {
			return i, err
		}
		return i, q.LookAfter(ctx, name) // messages wait
	})
}

// withInstance does something with the instance that the command names and
// prints what it is then.
func (a *app) withInstance(ctx context.Context, c *cli.Command, do func(*db.Queries, context.Context, string) (db.Instance, error)) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	row, err := do(db.New(pool), ctx, args[0])
	if errors.Is(err, pgx.ErrNoRows) {
		return unknownInstance(args[0])
	}
	if err != nil {
		return fmt.Errorf("%s instance: %w", c.Name, err)
	}
	return a.printInstance(instanceOf(row))
}

func unknownInstance(name string) error {
	if err := tasks.CheckInstance(name); err != nil {
		return err
	}
	return fmt.Errorf("there is no instance %q; `msgorch instances list` shows them", name)
}

func (a *app) printInstance(i instance) error {
	return a.print(i, func() {
		a.fields([][2]string{
			{"name", i.Name},
			{"gateway", i.Gateway},
			{"base url", deref(i.BaseURL)},
			{"has credential", strconv.FormatBool(i.HasCredential)},
			{"has webhook token", strconv.FormatBool(i.HasWebhookToken)},
			{"limits", i.Limits},
			{"state", i.state()},
			{"updated", clock(i.UpdatedAt, time.Now())},
		})
	})
}

// fields prints names and values, leaving out what is empty.
func (a *app) fields(fields [][2]string) {
	widest := 0
	for _, f := range fields {
		widest = max(widest, len(f[0]))
	}
	for _, f := range fields {
		if f[1] != "" {
			a.say("%s%s%s\n", f[0], strings.Repeat(" ", widest-len(f[0])+columnGap), printable(f[1]))
		}
	}
}

func (a *app) deleteInstance(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	deleted, err := db.New(pool).DeleteInstance(ctx, args[0])
	if err != nil {
		return fmt.Errorf("delete instance: %w", err)
	}
	if deleted == 0 {
		return unknownInstance(args[0])
	}
	return a.print(map[string]any{"name": args[0], "deleted": true}, func() { a.say("deleted %s\n", args[0]) })
}
