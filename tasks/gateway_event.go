package tasks

import (
	"time"

	"github.com/hibiken/asynq"
)

// Budgets of applying events: transactions only, no gateway is asked.
const (
	eventTimeout  = time.Minute
	eventMaxRetry = 1000
)

// GatewayEvent asks for a stored gateway event to be applied. The event itself
// stays in PostgreSQL: it may be large, and it holds what people wrote. Handled
// by inbound.Service.Apply.
type GatewayEvent struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	Event    string `json:"event"` // such as "messages.upsert"; for whoever watches the queue
	// Settle is how long the task waits before it is due; zero means not at all.
	Settle time.Duration `json:"-"`
}

// TaskType implements Payload.
func (GatewayEvent) TaskType() string { return "gateway:event" }

// Options implements Payload.
func (e GatewayEvent) Options() []asynq.Option {
	return eventOptions("gateway:event:"+e.ID, e.Settle)
}

// Validate implements Payload.
func (e GatewayEvent) Validate() error {
	if e.ID == "" {
		return &InvalidError{"id", "missing_id", "must name a stored event"}
	}
	return nil
}

// GatewayEvents asks for events that arrived together. Handled by
// inbound.Service.ApplyAll.
type GatewayEvents struct {
	// Batch names the group. It is stored with each of its events.
	Batch  string         `json:"batch"`
	Events []GatewayEvent `json:"events"`
	// Settle is how long the task waits before it is due; zero means not at all.
	Settle time.Duration `json:"-"`
}

// TaskType implements Payload.
func (GatewayEvents) TaskType() string { return "gateway:events" }

// Options implements Payload.
func (b GatewayEvents) Options() []asynq.Option {
	return eventOptions("gateway:events:"+b.Batch, b.Settle)
}

// Validate implements Payload.
func (b GatewayEvents) Validate() error {
	if b.Batch == "" || len(b.Events) == 0 {
		return &InvalidError{"events", "invalid_batch", "must name a batch and hold at least one event"}
	}
	for _, e := range b.Events {
		if err := e.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func eventOptions(taskID string, settle time.Duration) []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueInbound),
		asynq.TaskID(taskID),
		asynq.Timeout(eventTimeout),
		asynq.MaxRetry(eventMaxRetry),
		asynq.ProcessIn(settle),
	}
}
