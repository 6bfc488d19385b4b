package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/tasks"
)

// search is the tasks that may carry one row, and how late the row is.
type search struct {
	queue string
	ids   []string
	late  time.Duration
}

// known reports for each row whether Redis holds a task of it that will still
// run. An active task counts only for a while: a living worker claims what it
// holds at once, and one that was killed leaves its tasks active for long. The
// keys are those of asynq 0.26; its Inspector would take a round trip for each.
func (r *Relay) known(ctx context.Context, rows []search) ([]bool, error) {
	out := make([]bool, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	pipe := r.Redis.Pipeline()
	states := make([][]*redis.StringCmd, len(rows))
	for i, row := range rows {
		for _, id := range row.ids {
			states[i] = append(states[i], pipe.HGet(ctx, taskKey(row.queue, id), "state"))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ask Redis for tasks: %w", err)
	}
	for i, row := range rows {
		for _, s := range states[i] {
			switch s.Val() {
			case "pending", "scheduled", "retry", "aggregating":
				out[i] = true
			case "active":
				out[i] = out[i] || row.late < activePatience
			}
		}
	}
	return out, nil
}

func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }

// dropOrphans removes tasks that are active without a lease: nobody holds them,
// and asynq would show them as active for ever. Taking a task gives it a lease
// in the same script, so that none is caught half-way. What they carried is
// found by its rows.
func (r *Relay) dropOrphans(ctx context.Context) error {
	dropped := 0
	for _, queue := range tasks.Queues() {
		active, lease := "asynq:{"+queue+"}:active", "asynq:{"+queue+"}:lease"
		ids, err := r.Redis.LRange(ctx, active, 0, -1).Result()
		if err != nil {
			return fmt.Errorf("list active tasks: %w", err)
		}
		for _, id := range ids {
			n, err := orphan.Run(ctx, r.Redis, []string{active, lease, taskKey(queue, id)}, id).Int()
			if err != nil {
				return fmt.Errorf("drop orphaned task: %w", err)
			}
			dropped += n
		}
	}
	r.count("orphan", dropped)
	return nil
}

// orphan drops one task, if it is active and has no lease.
//
//nolint:gochecknoglobals // a constant; go-redis keeps its hash in it
var orphan = redis.NewScript(`
if redis.call("ZSCORE", KEYS[2], ARGV[1]) or redis.call("LREM", KEYS[1], 0, ARGV[1]) == 0 then
    return 0
end
redis.call("DEL", KEYS[3])
return 1`)
