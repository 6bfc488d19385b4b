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

// relayFiles has files fetched that are due and that Redis does not know of.
func (r *Relay) relayFiles(ctx context.Context, patience time.Duration) error {
	q := db.New(r.Pool)
	for range sweepPages {
		rows, err := q.OverdueMedia(ctx, db.OverdueMediaParams{
			DueBefore: time.Now().Add(-max(patience, grace)), AfterAt: r.files.at, AfterID: r.files.id, MaxRows: sweepPage,
		})
		if err != nil {
			return fmt.Errorf("list files to fetch: %w", err)
		}
		if err := r.queueFiles(ctx, rows); err != nil {
			return err
		}
		if len(rows) < sweepPage {
			r.files = eventPosition{}
			return nil
		}
		last := rows[len(rows)-1]
		r.files = eventPosition{last.NextAttemptAt, last.ID}
	}
	return nil
}

func (r *Relay) queueFiles(ctx context.Context, rows []db.OverdueMediaRow) error {
	lost := make([]search, len(rows))
	for i, f := range rows {
		first, late := "media:fetch:"+f.ID.String(), time.Since(f.NextAttemptAt)
		latest := fmt.Sprintf("%s:%d", first, f.Attempts)
		lost[i] = search{queue: tasks.QueueInbound, late: late, ids: []string{first, again(latest, late), again(latest, late-againEvery)}}
	}
	known, err := r.known(ctx, lost)
	if err != nil {
		return err
	}
	queued := 0
	for i, f := range rows {
		if known[i] {
			continue
		}
		id := asynq.TaskID(again(fmt.Sprintf("media:fetch:%s:%d", f.ID, f.Attempts), lost[i].late))
		err := tasks.Enqueue(ctx, r.Client, tasks.FetchMedia{ID: f.ID.String()}, id)
		if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			return err
		}
		queued++
	}
	r.count("file", queued)
	return nil
}
