package outbox_test

import (
	"context"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://msgorch@127.0.0.1:5432/msgorch")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	asynqClient := asynq.NewClient(asynq.RedisClientOpt{Addr: "127.0.0.1:6379"})
	defer asynqClient.Close()

	ob := outbox.New(pool, asynqClient)
	msg := tasks.SendMessage{Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola"}
	receipt, err := ob.Send(ctx, msg) // the row is committed, then queued
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(receipt.ID, receipt.Status)
}

func ExampleOutbox_SendTx() {
	var (
		ctx  context.Context
		pool *pgxpool.Pool
		ob   *outbox.Outbox
	)
	order := func() error { // the order is paid exactly when the customer is told
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "UPDATE orders SET paid = true WHERE id = $1", 1042); err != nil {
				return err
			}
			_, err := ob.SendTx(ctx, tx, tasks.SendMessage{Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola"})
			return err
		})
	}
	_ = order
}
