package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/migrations"
)

func (a *app) migrate() *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring the database to this version's schema, or back",
		Description: "msgorch migrate up\n" +
			"msgorch migrate status -o json\n" +
			"msgorch migrate down --steps 1",
		Commands: []*cli.Command{
			{Name: "up", Usage: "take every step that was not taken yet", Action: a.migrateUp},
			{
				Name: "down", Usage: "take back the latest steps; what they added is lost, with its data", Action: a.migrateDown,
				Flags: []cli.Flag{&cli.IntFlag{Name: "steps", Value: 1, Usage: "how many, `N`", Validator: atLeastOne}},
			},
			{Name: "status", Usage: "say where the database stands", Action: a.migrateStatus},
		},
	}
}

func atLeastOne(n int) error {
	if n < 1 {
		return errors.New("must be at least 1")
	}
	return nil
}

func (a *app) migrateUp(ctx context.Context, c *cli.Command) error {
	return a.migrated(ctx, c, migrations.Up)
}

func (a *app) migrateDown(ctx context.Context, c *cli.Command) error {
	return a.migrated(ctx, c, func(ctx context.Context, url string) error {
		before, err := migrations.Status(ctx, url)
		if err != nil {
			return err
		}
		steps := min(c.Int("steps"), int(before.Version))
		if steps == 0 {
			return nil
		}
		return migrations.Down(ctx, url, steps)
	})
}

func (a *app) migrateStatus(ctx context.Context, c *cli.Command) error {
	return a.migrated(ctx, c, func(context.Context, string) error { return nil })
}

// migrated does something to the schema and prints where it stands then.
func (a *app) migrated(ctx context.Context, c *cli.Command, do func(ctx context.Context, databaseURL string) error) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	cfg, err := a.config("DATABASE_URL")
	if err != nil {
		return err
	}
	if err := do(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	state, err := migrations.Status(ctx, cfg.DatabaseURL)
	if err != nil {
		return err
	}
	return a.print(state, func() {
		switch {
		case state.Dirty:
			a.say("step %d of %d failed half-way: a person must look\n", state.Version, state.Latest)
		case state.Version > state.Latest:
			a.say("step %d, newer than this program, which knows %d\n", state.Version, state.Latest)
		default:
			a.say("step %d of %d\n", state.Version, state.Latest)
		}
	})
}
