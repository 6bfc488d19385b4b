package main

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
)

// readMessages tells the writers of inbound messages that they were read.
func (a *app) readMessages() *cli.Command {
	return &cli.Command{
		Name: "read", Usage: "tell who wrote an inbound message that it was read", ArgsUsage: "ID…",
		Description: "The workers tell them; `msgorch messages show ID -o json` has what became of it in read_receipt.\n\n" +
			"msgorch messages read 0199a1b2-…",
		Action: a.markMessages,
	}
}

func (a *app) markMessages(ctx context.Context, c *cli.Command) error {
	ids, err := idsOf(c)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return wrongUsage(c, errors.New("needs IDs"))
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	n, err := a.changeEach(ctx, pool, ids, change{not: "only an inbound message can be marked as read", one: askToRead})
	if err != nil && n == 0 && !errors.Is(err, errSilent) {
		return err // there is nothing to tell of
	}
	return errors.Join(a.print(counted{n}, func() { a.say("%d to be told of\n", n) }), err)
}

// askToRead asks once. What was asked for already is no error.
func askToRead(ctx context.Context, q *db.Queries, id uuid.UUID) error {
	_, err := q.AskToRead(ctx, id)
	if err == nil {
		_ = q.WakeRelay(ctx) // a second later it would wake by itself
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	row, err := q.MessageDetail(ctx, id)
	if err == nil && row.ShownMessage.Direction != db.MessageDirectionInbound {
		return pgx.ErrNoRows
	}
	return err
}
