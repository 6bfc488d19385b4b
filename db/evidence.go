package db

import (
	"context"
	"fmt"
	"time"
)

// FoldEarly moves evidence that came before its message's row into the row, for
// at most limit messages, and returns how many messages it met. It looks at
// evidence received since a time; the zero time means all. It may run at any
// time, in any number of processes.
func FoldEarly(ctx context.Context, pool Beginner, since time.Time, limit int32) (int, error) {
	met := 0
	err := InTx(ctx, pool, func(q *Queries) error {
		rows, err := q.TakeEarlyEvidence(ctx, TakeEarlyEvidenceParams{Since: since, MaxRows: limit})
		if err != nil || len(rows) == 0 {
			return err
		}
		var p ApplyEvidenceParams
		for _, r := range rows {
			p.InstanceIds = append(p.InstanceIds, r.InstanceID)
			p.GatewayMessageIds = append(p.GatewayMessageIds, r.GatewayMessageID)
			p.Statuses = append(p.Statuses, r.Status)
			p.Ats = append(p.Ats, r.At)
			p.Reasons = append(p.Reasons, r.Reason)
		}
		ids, err := q.ApplyEvidence(ctx, p)
		met = len(ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("fold early evidence: %w", err)
	}
	return met, nil
}
