package tasks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/tasks"
)

func ExampleNew() {
	msg := tasks.SendMessage{Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola"}
	task, err := tasks.New(msg) // for the caller's own asynq.Client
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n%s\n", task.Type(), task.Payload())
	// Output:
	// message:send
	// {"key":"order-1042-paid","instance":"sales","to":"+5215550000001","text":"Hola"}
}

func ExampleEnqueue() {
	ctx := context.Background()
	asynqClient := asynq.NewClient(asynq.RedisClientOpt{Addr: "127.0.0.1:6379"})
	defer asynqClient.Close()

	msg := tasks.SendMessage{Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola"}
	err := tasks.Enqueue(ctx, asynqClient, msg)
	if errors.Is(err, tasks.ErrDuplicate) {
		err = nil // it is there already: the work will be done
	}
	if err != nil {
		fmt.Println(err)
	}
}

func ExampleHandle() {
	mux := asynq.NewServeMux()
	tasks.Handle(mux, func(_ context.Context, m tasks.SendMessage) error {
		fmt.Println(m.Instance, m.To, m.Text)
		return nil
	})

	msg := tasks.SendMessage{Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola"}
	task, err := tasks.New(msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	// An asynq.Server does this for each task.
	if err := mux.ProcessTask(context.Background(), task); err != nil {
		fmt.Println(err)
	}
	// Output: sales +5215550000001 Hola
}
