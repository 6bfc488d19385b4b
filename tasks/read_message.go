package tasks

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// ReadMessage asks to tell the writer of an inbound message that it was read. That
// it was asked for is in PostgreSQL. Handled by outbound.Service.Read.
type ReadMessage struct {
	ID       string `json:"id"`
	Instance string `json:"instance"` // for whoever watches the queue
	// Asked is when it was asked for: what was given up may be asked for again.
	Asked time.Time `json:"asked"`
}

// TaskType implements Payload.
func (ReadMessage) TaskType() string { return "message:read" }

// TaskID is the task's identity.
func (p ReadMessage) TaskID() string {
	return "message:read:" + p.ID + ":" + strconv.FormatInt(p.Asked.UnixMicro(), 10)
}

// Options implements Payload. The row counts the attempts; asynq's own count is
// beyond them.
func (p ReadMessage) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueDefault),
		asynq.TaskID(p.TaskID()),
		asynq.Timeout(time.Minute),
		asynq.MaxRetry(1000),
	}
}

// Validate implements Payload.
func (p ReadMessage) Validate() error {
	if p.ID == "" {
		return &InvalidError{"id", "missing_id", "must name a stored message"}
	}
	return nil
}
