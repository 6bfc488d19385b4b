package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
)

// app is what every verb works with.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	format         string // of what is printed: formatText or formatJSON
}

// root is every verb there is, one line each.
func (a *app) root() *cli.Command {
	root := &cli.Command{
		Name:    "msgorch",
		Usage:   "the operator's hand on MsgOrch",
		Version: version,
		Description: "It works on PostgreSQL and Redis directly. It reads the environment of the servers,\n" +
			"and the file .env in this folder for what the environment does not have: DATABASE_URL,\n" +
			"REDIS_URL, SECRET_KEY and so on; .env.example shows them all.\n\n" +
			"Exit status: 0 done, 1 failed, 2 wrong usage. Errors are on standard error.",
		Commands: []*cli.Command{
			a.up(),
			a.migrate(),
			a.keys(),
			a.instances(),
			a.send(),
			a.messages(),
			a.tail(),
			a.sandbox(),
			a.doctor(),
			a.bench(),
		},
		Flags:          []cli.Flag{a.formatFlag()},
		Writer:         a.stdout,
		ErrWriter:      a.stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run decides
	}
	_ = root.Walk(func(c *cli.Command) error {
		c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return wrongUsage(c, err) }
		if len(c.Commands) > 0 {
			c.Action = chooseVerb
			return nil
		}
		c.HideHelpCommand = true // `send help` sends "help"
		return nil
	})
	return root
}

// chooseVerb is the action of a command that only holds others.
func chooseVerb(_ context.Context, c *cli.Command) error {
	if word := c.Args().First(); word != "" {
		return wrongUsage(c, fmt.Errorf("there is no %q", word))
	}
	if c.Root() == c {
		return cli.ShowRootCommandHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}

// usageError is a command line that says nothing we can do.
type usageError struct {
	command string // whose help says more
	err     error
}

// Error implements error.
func (e *usageError) Error() string {
	return fmt.Sprintf("%v (see %s --help)", e.err, e.command)
}

// Unwrap returns what is wrong.
func (e *usageError) Unwrap() error { return e.err }

func wrongUsage(c *cli.Command, err error) error { return &usageError{c.FullName(), err} }

// arguments returns the positional arguments, of which there must be as many as
// names.
func arguments(c *cli.Command, names ...string) ([]string, error) {
	if c.Args().Len() == len(names) {
		return c.Args().Slice(), nil
	}
	if len(names) == 0 {
		return nil, wrongUsage(c, fmt.Errorf("takes no argument, got %d", c.Args().Len()))
	}
	return nil, wrongUsage(c, fmt.Errorf("takes %s, got %d arguments", strings.Join(names, " "), c.Args().Len()))
}

// settingsError is what is wrong with the environment: one line for each
// mistake.
type settingsError struct{ error }

// environ returns the environment with what .env adds to it.
func (a *app) environ() (func(string) string, error) {
	getenv, err := config.DotEnv(".", a.getenv)
	if err != nil {
		return nil, settingsError{err}
	}
	return getenv, nil
}

// config reads the environment; required names the variables that the verb
// cannot do without.
func (a *app) config(required ...string) (config.Config, error) {
	getenv, err := a.environ()
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.LoadFor(getenv, required...)
	if err != nil {
		return cfg, settingsError{err}
	}
	return cfg, nil
}

// open is config with a pool on its database, which the caller closes.
func (a *app) open(ctx context.Context, required ...string) (config.Config, *pgxpool.Pool, error) {
	cfg, err := a.config(append(required, "DATABASE_URL")...)
	if err != nil {
		return cfg, nil, err
	}
	const connections = 4
	pool, err := db.Open(ctx, cfg.DatabaseURL, connections)
	return cfg, pool, err
}
