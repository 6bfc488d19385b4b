package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/history"
)

// change is what a verb does to messages.
type change struct {
	done     string // "canceled"
	not      string // why one is left as it is
	one      func(context.Context, *db.Queries, uuid.UUID) error
	matching func(context.Context, *history.Reader, history.Filter) (int, error)
}

// counted is how many messages were changed, as the API says it.
type counted struct {
	Count int `json:"count"`
}

func (a *app) cancelMessages() *cli.Command {
	return a.changeCommand("cancel", "cancel what is not sent yet", change{
		done: "canceled", not: "only a message that is not sent yet can be canceled",
		one: func(ctx context.Context, q *db.Queries, id uuid.UUID) error {
			_, err := q.CancelMessage(ctx, id)
			return err
		},
		matching: func(ctx context.Context, r *history.Reader, f history.Filter) (int, error) { return r.Cancel(ctx, f) },
	})
}

func (a *app) retryMessages() *cli.Command {
	return a.changeCommand("retry", "send again what failed, expired or is held in doubt", change{
		done: "queued again", not: "only a message that failed, expired or is in doubt can be sent again",
		one: func(ctx context.Context, q *db.Queries, id uuid.UUID) error {
			_, err := q.RetryMessage(ctx, id)
			if err == nil {
				_ = q.WakeRelay(ctx) // a second later it would wake by itself
			}
			return err
		},
		matching: func(ctx context.Context, r *history.Reader, f history.Filter) (int, error) { return r.Retry(ctx, f) },
	})
}

func (a *app) changeCommand(name, usage string, ch change) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "[ID…]", Flags: filterFlags(),
		Description: "It takes IDs, or at least one flag that says which messages are meant; it does not ask\n" +
			"again. Of those that are meant it changes the ones it can, and tells how many.\n\n" +
			fmt.Sprintf("msgorch messages %s 0199a1b2-… 0199a1b3-…\n", name) +
			fmt.Sprintf("msgorch messages %s --instance sales --since 2h --q promotion", name),
		Action: func(ctx context.Context, c *cli.Command) error { return a.changeMessages(ctx, c, ch) },
	}
}

func (a *app) changeMessages(ctx context.Context, c *cli.Command, ch change) error {
	ids, f, err := meant(c)
	if err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var n int
	if len(ids) > 0 {
		n, err = a.changeEach(ctx, pool, ids, ch)
	} else if err = known(ctx, db.New(pool), f.Instances); err == nil {
		n, err = ch.matching(ctx, history.New(pool), f)
	}
	if err != nil && n == 0 && !errors.Is(err, errSilent) {
		return err // there is nothing to tell of
	}
	return errors.Join(a.print(counted{n}, func() { a.say("%d %s\n", n, ch.done) }), err)
}

// meant returns the ids or the filter that the command line has; exactly one
// of them, as everything is rarely meant.
func meant(c *cli.Command) (ids []uuid.UUID, f history.Filter, err error) {
	if ids, err = idsOf(c); err != nil {
		return nil, f, err
	}
	f, err = filterOf(c)
	if err != nil {
		return nil, f, err
	}
	f.Query = strings.TrimSpace(f.Query) // no words are no restriction
	restricted := f.Chat != "" || f.Status != "" || f.Query != "" || !f.Since.IsZero() || !f.Until.IsZero() || len(f.Instances) > 0
	switch {
	case len(ids) > 0 && restricted:
		return nil, f, wrongUsage(c, errors.New("takes IDs or flags that say which messages are meant, not both"))
	case len(ids) == 0 && !restricted:
		return nil, f, wrongUsage(c, errors.New("needs IDs, or a flag that says which messages are meant"))
	}
	return ids, f, nil
}

// idsOf returns the command line's arguments, which are ids of messages.
func idsOf(c *cli.Command) (ids []uuid.UUID, err error) {
	for _, arg := range c.Args().Slice() {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, wrongUsage(c, errors.New("ID must be one that `msgorch messages list` shows"))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// changeEach changes messages one by one and returns how many. It tells of
// those that cannot be changed, and goes on.
func (a *app) changeEach(ctx context.Context, pool *pgxpool.Pool, ids []uuid.UUID, ch change) (n int, err error) {
	for _, id := range ids {
		switch failed := ch.one(ctx, db.New(pool), id); {
		case failed == nil:
			n++
		case errors.Is(failed, pgx.ErrNoRows):
			a.note("%s: %s", id, whyNot(ctx, pool, id, ch))
			err = errSilent
		default:
			return n, fmt.Errorf("change message %s: %w", id, failed)
		}
	}
	return n, err
}

// whyNot says why a message cannot be changed.
func whyNot(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID, ch change) string {
	m, err := history.New(pool).Get(ctx, id)
	if err != nil {
		return explain(err)
	}
	return fmt.Sprintf("%s; it is %s", ch.not, m.Status)
}
