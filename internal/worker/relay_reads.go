package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/tasks"
)

// relayReads queues again what is to be told of as read and has no task.
func (r *Relay) relayReads(ctx context.Context, patience time.Duration) error {
	rows, err := db.New(r.Pool).DueReads(ctx, db.DueReadsParams{DueBefore: time.Now().Add(-patience), MaxRows: sweepPage})
	if err != nil {
		return fmt.Errorf("list due receipts: %w", err)
	}
	work, lost := make([]tasks.ReadMessage, len(rows)), make([]search, len(rows))
	for i, row := range rows {
		late := time.Since(row.NextAttemptAt)
		work[i] = tasks.ReadMessage{ID: row.MessageID.String(), Instance: row.Instance, Asked: row.AskedAt}
		first := work[i].TaskID()
		lost[i] = search{queue: tasks.QueueDefault, late: late, ids: []string{first, again(first, late), again(first, late-againEvery)}}
	}
	known, err := r.known(ctx, lost)
	if err != nil {
		return err
	}
	queued := 0
	for i, t := range work {
		if known[i] {
			continue
		}
		id := asynq.TaskID(again(t.TaskID(), lost[i].late))
		if err := tasks.Enqueue(ctx, r.Client, t, id); err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
		queued++
	}
	r.count("read", queued)
	return nil
}
