package tasks

import (
	"time"

	"github.com/hibiken/asynq"
)

// fetchTime is how long one try of fetching a file may take, a large one from a
// slow gateway. Enough retries that the row of the file, which counts tries in
// PostgreSQL, always gives up first.
const (
	fetchTime     = 10 * time.Minute
	fetchMaxRetry = 1000
)

// FetchMedia asks for a file that somebody sent to be fetched from its gateway.
// Handled by attachment.Service.Fetch.
type FetchMedia struct {
	ID string `json:"id"` // of the message that holds it
}

// TaskType implements Payload.
func (FetchMedia) TaskType() string { return "media:fetch" }

// Options implements Payload. It goes with what comes in, because the gateway
// keeps the file for a while only.
func (f FetchMedia) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueInbound),
		asynq.TaskID("media:fetch:" + f.ID),
		asynq.Timeout(fetchTime),
		asynq.MaxRetry(fetchMaxRetry),
	}
}

// Validate implements Payload.
func (f FetchMedia) Validate() error {
	if f.ID == "" {
		return &InvalidError{"id", "missing_id", "must name a stored message"}
	}
	return nil
}
