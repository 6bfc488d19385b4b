package tasks

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// ProbeInstance asks whether an instance that a refusal paused can send again.
// Handled by outbound.Service.Probe.
type ProbeInstance struct {
	Instance string `json:"instance"`
	// Due is when it was due: the same one is asked for once.
	Due time.Time `json:"due"`
}

// TaskType implements Payload.
func (ProbeInstance) TaskType() string { return "maintenance:probe" }

// Options implements Payload. It is not retried: the next one is due soon.
func (p ProbeInstance) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueMaintenance),
		asynq.TaskID("maintenance:probe:" + p.Instance + ":" + strconv.FormatInt(p.Due.Unix(), 10)),
		asynq.Timeout(time.Minute),
		asynq.MaxRetry(0),
	}
}

// Validate implements Payload.
func (p ProbeInstance) Validate() error {
	if reason := checkName(p.Instance); reason != "" {
		return &InvalidError{"instance", "invalid_instance", reason}
	}
	return nil
}
