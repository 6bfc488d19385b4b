package tasks

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// purgeTime is how long one Purge may take; the next goes on where it stopped.
const purgeTime = 50 * time.Minute

// Purge asks to delete what has been kept for long enough. Handled by
// history.Purger.Purge.
type Purge struct {
	// Due is when it was due: the same hour is asked for once.
	Due time.Time `json:"due"`
}

// TaskType implements Payload.
func (Purge) TaskType() string { return "maintenance:purge" }

// Options implements Payload. It is not retried: the next one is due in an hour.
func (p Purge) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueMaintenance),
		asynq.TaskID("maintenance:purge:" + strconv.FormatInt(p.Due.Truncate(time.Hour).Unix(), 10)),
		asynq.Timeout(purgeTime),
		asynq.MaxRetry(0),
		asynq.Retention(2 * time.Hour),
	}
}

// Validate implements Payload.
func (Purge) Validate() error { return nil }
