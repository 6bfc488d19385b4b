package inbound

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
)

// found counts messages that no webhook had told of, by instance.
type found struct {
	of    map[uuid.UUID]int64 // instance, by the id of the row that may be made
	names map[int64]string
	n     map[int64]int64
}

// expect notes that a row, if it is made, closes a gap.
func (f *found) expect(id uuid.UUID, instance int64, name string) {
	if f.of == nil {
		f.of, f.names, f.n = map[uuid.UUID]int64{}, map[int64]string{}, map[int64]int64{}
	}
	f.of[id], f.names[instance] = instance, name
}

// made counts rows that were made.
func (f *found) made(ids []uuid.UUID) {
	for _, id := range ids {
		if instance, ok := f.of[id]; ok {
			f.n[instance]++
		}
	}
}

func (f *found) write(ctx context.Context, q *db.Queries) error {
	var p db.AddGapsParams
	for instance, n := range f.n {
		p.InstanceIds, p.Counts = append(p.InstanceIds, instance), append(p.Counts, n)
	}
	if len(p.InstanceIds) == 0 {
		return nil
	}
	if err := q.AddGaps(ctx, p); err != nil {
		return fmt.Errorf("count gaps: %w", err)
	}
	return nil
}
