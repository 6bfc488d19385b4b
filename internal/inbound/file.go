package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/tasks"
)

// noteFiles notes the files of new messages that are to be fetched. Those of a
// history sync are not: they come by the thousand, and are mostly gone.
func noteFiles(ctx context.Context, q *db.Queries, rows []heard, ids, fresh []uuid.UUID) ([]uuid.UUID, error) {
	isNew := make(map[uuid.UUID]bool, len(fresh))
	for _, id := range fresh {
		isNew[id] = true
	}
	var p db.StoreMediaParams
	for i, h := range rows {
		if f := h.m.Media; f != nil && f.GatewayID != "" && !h.m.History && isNew[ids[i]] {
			p.Ids = append(p.Ids, ids[i])
			p.GatewayIds = append(p.GatewayIds, clean(f.GatewayID))
			p.StorageKeys = append(p.StorageKeys, storageKey(ids[i]))
		}
	}
	if len(p.Ids) == 0 {
		return nil, nil
	}
	due, err := q.StoreMedia(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("note files: %w", err)
	}
	return due, nil
}

// storageKey is where the file of a message is kept: nothing that a gateway says
// is in it. The end of an id is random, and spreads the files over 256 folders.
func storageKey(id uuid.UUID) string {
	text := id.String()
	return text[len(text)-2:] + "/" + text
}

// fetch has files fetched. What Redis does not hear, the relay finds.
func (s *Service) fetch(ctx context.Context, ids []uuid.UUID) {
	for _, id := range ids {
		err := tasks.Enqueue(ctx, s.c.Client, tasks.FetchMedia{ID: id.String()})
		if err != nil && !errors.Is(err, tasks.ErrDuplicate) {
			s.c.Log.LogAttrs(ctx, slog.LevelWarn, "media.unqueued", slog.String("message_id", id.String()), slog.Any("error", err))
			return // Redis is away
		}
	}
}
