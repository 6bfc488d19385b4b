package history

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
)

// purgeFiles deletes the files of messages that are gone, however they went: the
// file first and its row after it, so that what a crash leaves is found again. A
// file that cannot be deleted now keeps its row for the next time, and does not
// hold up the others.
func (p Purger) purgeFiles(ctx context.Context) error {
	if p.Files == nil {
		return nil
	}
	q := db.New(p.Pool)
	n, stuck := 0, 0
	var failure error
	for after := uuid.Nil; ; {
		orphans, err := q.OrphanedMedia(ctx, db.OrphanedMediaParams{AfterID: after, MaxRows: purgeBatch})
		if err != nil {
			return fmt.Errorf("list files to delete: %w", err)
		}
		var deleted []uuid.UUID
		for _, o := range orphans {
			if err := p.Files.Delete(ctx, o.StorageKey); err != nil {
				failure, stuck = err, stuck+1
				continue
			}
			deleted = append(deleted, o.ID)
		}
		if err := q.ForgetMedia(ctx, deleted); err != nil {
			return fmt.Errorf("forget files: %w", err)
		}
		n += len(deleted)
		if len(orphans) < purgeBatch || ctx.Err() != nil {
			break
		}
		after = orphans[len(orphans)-1].ID
	}
	if n > 0 {
		p.Log.LogAttrs(ctx, slog.LevelInfo, "history.purged", slog.String("kind", "files"), slog.Int("rows", n))
	}
	if failure != nil {
		return fmt.Errorf("delete %d files: %w", stuck, failure)
	}
	return nil
}
