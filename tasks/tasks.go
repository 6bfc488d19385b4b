// Package tasks is the work that MsgOrch's workers do, as any Go program can
// ask for it: payload types, the queues they go to, and how to enqueue and
// handle them. It needs Redis and nothing else, and links asynq and nothing
// else.
//
// Order within a chat begins where a message's row is written. With Enqueue a
// worker writes it, so two messages of one chat may be stored either way round;
// package outbox and the HTTP API write it before they answer.
package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
)

// Queues, in the order in which they matter when all are full.
const (
	QueueCritical    = "critical"
	QueueInbound     = "inbound"
	QueueDefault     = "default"
	QueueEvents      = "events"
	QueueAgents      = "agents"
	QueueBulk        = "bulk"
	QueueMaintenance = "maintenance"
)

// Queues returns the names of all queues there are.
func Queues() []string {
	return []string{QueueCritical, QueueInbound, QueueDefault, QueueEvents, QueueAgents, QueueBulk, QueueMaintenance}
}

// Payload is what a task carries.
type Payload interface {
	// TaskType is the task's name, such as "message:send".
	TaskType() string
	// Options are the task's queue, identity, budget and timeout.
	Options() []asynq.Option
	// Validate says what is wrong with the payload, as an *InvalidError.
	Validate() error
}

// ErrDuplicate means that a task with the same identity is queued, running or
// kept already. The work will be done, or was: it is not a failure.
var ErrDuplicate = errors.New("task exists already")

// ErrInvalid matches every *InvalidError.
var ErrInvalid = errors.New("invalid payload")

// InvalidError says which field of a payload is wrong, and why. It never
// repeats what the field holds.
type InvalidError struct {
	Field  string // as in JSON, such as "to"
	Code   string // stable and machine-readable, such as "invalid_number"
	Reason string // one sentence
}

// Error implements error.
func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Reason) }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// New makes the task that carries p, for the caller's own client. Options given
// here win over the payload's.
func New(p Payload, opts ...asynq.Option) (*asynq.Task, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", p.TaskType(), err)
	}
	return asynq.NewTask(p.TaskType(), body, append(p.Options(), opts...)...), nil
}

// Enqueue hands p to the workers. It returns ErrDuplicate when a task with the
// same identity is queued, running, or kept after it failed for good.
func Enqueue(ctx context.Context, client *asynq.Client, p Payload, opts ...asynq.Option) error {
	task, err := New(p, opts...)
	if err != nil {
		return err
	}
	_, err = client.EnqueueContext(ctx, task)
	switch {
	// asynq wraps these two, so == never matches them.
	case errors.Is(err, asynq.ErrTaskIDConflict), errors.Is(err, asynq.ErrDuplicateTask):
		return fmt.Errorf("%w: %s", ErrDuplicate, p.TaskType())
	case err != nil:
		return fmt.Errorf("enqueue %s: %w", p.TaskType(), err)
	}
	return nil
}

// Handle registers fn for every task that carries a P.
//
// asynq matches types by prefix, so a handler for "message:send" would also be
// given "message:send_bulk"; Handle refuses such a task for good instead of
// decoding it into the wrong shape. Fields that this version does not know are
// ignored, so that two versions can work side by side.
func Handle[P Payload](mux *asynq.ServeMux, fn func(context.Context, P) error) {
	var zero P
	want := zero.TaskType()
	mux.HandleFunc(want, func(ctx context.Context, t *asynq.Task) error {
		if t.Type() != want {
			return fmt.Errorf("no handler for %q: %w", t.Type(), asynq.SkipRetry)
		}
		p, err := decode[P](ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", want, err, asynq.SkipRetry)
		}
		return fn(ctx, p)
	})
}

func decode[P Payload](ctx context.Context, t *asynq.Task) (P, error) {
	var p P
	if err := json.Unmarshal(t.Payload(), &p); err != nil {
		return p, &InvalidError{Field: "payload", Code: "malformed_json", Reason: "is not the JSON of this task"}
	}
	if anonymous, ok := any(&p).(interface{ identify(taskID string) }); ok {
		id, _ := asynq.GetTaskID(ctx)
		anonymous.identify(id)
	}
	return p, p.Validate()
}
