package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
)

func (a *app) keys() *cli.Command {
	return &cli.Command{
		Name:  "keys",
		Usage: "make, list and revoke keys of the API",
		Description: "msgorch keys create --name shop --scope send --scope read --instance sales\n" +
			"msgorch keys list\n" +
			"msgorch keys revoke 0199a1b2-…",
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "make a key; its token is shown this once", Action: a.createKey,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "`NAME` of who uses it", Required: true},
					&cli.StringSliceFlag{Name: "scope", Usage: "`SCOPE` it has: " + strings.Join(apikey.Scopes(), ", ") + "; repeat for more", Required: true},
					&cli.StringSliceFlag{Name: "instance", Usage: "`NAME` of an instance it is good for; repeat for more; none: every one"},
				},
			},
			{Name: "list", Usage: "list keys, revoked ones too; never their tokens", Action: a.listKeys},
			{Name: "revoke", Usage: "end a key for good", ArgsUsage: "ID", Action: a.revokeKey},
		},
	}
}

// key is a key as the operator sees it.
type key struct {
	ID        uuid.UUID  `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	Instances []string   `json:"instances"` // empty: every one
	CreatedAt *time.Time `json:"created_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	Token     string     `json:"token,omitempty"` // only when it was just made
}

func (a *app) createKey(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	k := apikey.Key{Name: c.String("name"), Scopes: c.StringSlice("scope"), Instances: c.StringSlice("instance")}
	id, token, err := apikey.Create(ctx, db.New(pool), k)
	if err != nil {
		return err
	}
	made := key{ID: id, Name: k.Name, Scopes: k.Scopes, Instances: append([]string{}, k.Instances...), Token: token.Reveal()}
	return a.print(made, func() {
		a.say("%s\n", made.Token)
		a.note("this is key %s; its token will not be shown again", id)
	})
}

func (a *app) listKeys(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	rows, err := db.New(pool).ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	list := page[key]{Data: []key{}}
	for _, r := range rows {
		list.Data = append(list.Data, key{
			ID: r.ID, Name: r.Name, Scopes: r.Scopes, Instances: r.Instances, CreatedAt: new(r.CreatedAt.UTC()), RevokedAt: r.RevokedAt,
		})
	}
	return a.print(list, func() { a.table([]string{"ID", "CREATED", "STATE", "SCOPES", "INSTANCES", "NAME"}, keyRows(list.Data)) })
}

func keyRows(keys []key) [][]string {
	now := time.Now()
	rows := make([][]string, len(keys))
	for i, k := range keys {
		state, instances := "active", "every one"
		if k.RevokedAt != nil {
			state = "revoked"
		}
		if len(k.Instances) > 0 {
			instances = strings.Join(k.Instances, ",")
		}
		rows[i] = []string{k.ID.String(), clock(*k.CreatedAt, now), state, strings.Join(k.Scopes, ","), instances, k.Name}
	}
	return rows
}

func (a *app) revokeKey(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "ID")
	if err != nil {
		return err
	}
	id, err := uuid.Parse(args[0])
	if err != nil {
		return wrongUsage(c, errors.New("ID must be one that `msgorch keys list` shows"))
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	revoked, err := db.New(pool).RevokeKey(ctx, id)
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if revoked == 0 {
		return fmt.Errorf("there is no key %s, or it was revoked before", id)
	}
	return a.print(map[string]any{"id": id, "revoked": true}, func() { a.say("revoked %s\n", id) })
}
