package tasks

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// ReconcileTime is how long one ReconcileInstance may take; the next goes on where
// it stopped.
const ReconcileTime = 3 * time.Minute

// ReconcileInstance asks to compare what an instance's gateway has written down
// with what its webhooks have told. Handled by inbound.Reconciler.Reconcile.
type ReconcileInstance struct {
	Instance string `json:"instance"`
	// Due is when it was due: the same one is asked for once.
	Due time.Time `json:"due"`
}

// TaskType implements Payload.
func (ReconcileInstance) TaskType() string { return "maintenance:reconcile" }

// Options implements Payload. It is not retried: the next one is due soon.
func (p ReconcileInstance) Options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueMaintenance),
		asynq.TaskID("maintenance:reconcile:" + p.Instance + ":" + strconv.FormatInt(p.Due.Unix(), 10)),
		asynq.Timeout(ReconcileTime),
		asynq.MaxRetry(0),
	}
}

// Validate implements Payload.
func (p ReconcileInstance) Validate() error {
	if reason := checkName(p.Instance); reason != "" {
		return &InvalidError{"instance", "invalid_instance", reason}
	}
	return nil
}
