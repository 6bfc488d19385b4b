package tasks

import (
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// mergeAgain is how long one MergeChats stands for a chat: if it was lost, another
// may be queued after that.
const mergeAgain = 10 * time.Second

// MergeChats asks to make one chat of two that have turned out to be the same
// person's. Which two is in PostgreSQL. Handled by inbound.Service.Merge.
type MergeChats struct {
	Instance string `json:"instance"` // for whoever watches the queue
	// Chat is the row of the chat that is to be merged into another.
	Chat int64 `json:"chat"`
	// Due is when it was asked for.
	Due time.Time `json:"due"`
}

// TaskType implements Payload.
func (MergeChats) TaskType() string { return "maintenance:merge" }

// Options implements Payload. A chat with a long history is moved in several goes.
func (p MergeChats) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueMaintenance),
		asynq.TaskID(fmt.Sprintf("maintenance:merge:%d:%d", p.Chat, p.Due.Truncate(mergeAgain).Unix())),
		asynq.Timeout(5 * time.Minute),
		asynq.MaxRetry(eventMaxRetry),
	}
}

// Validate implements Payload.
func (p MergeChats) Validate() error {
	if p.Chat <= 0 {
		return &InvalidError{"chat", "missing_chat", "must be a chat"}
	}
	return nil
}
