package tasks

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// WatchAcks asks to look for messages that a gateway took and then said nothing
// more of. Handled by outbound.Watchdog.Watch.
type WatchAcks struct {
	// Due is when it was due: the same one is asked for once.
	Due time.Time `json:"due"`
}

// TaskType implements Payload.
func (WatchAcks) TaskType() string { return "maintenance:acks" }

// Options implements Payload. It is not retried: the next one is due soon.
func (p WatchAcks) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueMaintenance),
		asynq.TaskID("maintenance:acks:" + strconv.FormatInt(p.Due.Unix(), 10)),
		asynq.Timeout(2 * time.Minute),
		asynq.MaxRetry(0),
	}
}

// Validate implements Payload.
func (WatchAcks) Validate() error { return nil }
