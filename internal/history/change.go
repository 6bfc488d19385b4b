package history

import (
	"context"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/tasks"
)

// changeRows is how many messages one statement changes: it locks them, and
// claims wait for it.
const changeRows = 500

// Cancel cancels every message that f matches and that nobody is sending, and
// returns how many. None of them is sent afterwards. Limit and Cursor do not
// count; f must restrict something, because everything is rarely meant.
func (r *Reader) Cancel(ctx context.Context, f Filter) (int, error) {
	return r.change(ctx, f, func(q *db.Queries, p db.CancelMatchingParams) (int32, error) {
		return q.CancelMatching(ctx, p)
	})
}

// Retry sends again every message that f matches and that failed, expired or is
// held in doubt, and returns how many. The workers are woken.
func (r *Reader) Retry(ctx context.Context, f Filter) (int, error) {
	n, err := r.change(ctx, f, func(q *db.Queries, p db.CancelMatchingParams) (int32, error) {
		return q.RetryMatching(ctx, db.RetryMatchingParams(p))
	})
	if n > 0 {
		_ = db.New(r.pool).WakeRelay(ctx) // a second later it would wake by itself
	}
	return n, err
}

// ErrFilterRequired is the failure of changing messages without saying which.
func ErrFilterRequired() error {
	return fault.New(fault.Invalid, "filter_required", "Say which messages: by instance, chat, status, q, since or until.")
}

// change changes what a filter matches, some at a time, until none is left. The
// error of a later part does not undo an earlier one.
func (r *Reader) change(ctx context.Context, f Filter, some func(*db.Queries, db.CancelMatchingParams) (int32, error)) (int, error) {
	p, ok, err := r.changeParams(ctx, f)
	if err != nil || !ok {
		return 0, err
	}
	for total := 0; ; {
		n, err := some(db.New(r.pool), p)
		total += int(n)
		if err != nil || n == 0 {
			return total, away(err)
		}
	}
}

// changeParams turns a filter into parameters. ok is false when nothing can
// match.
func (r *Reader) changeParams(ctx context.Context, f Filter) (p db.CancelMatchingParams, ok bool, err error) {
	f.Cursor = ""
	w, err := windowOf(f)
	if err != nil {
		return p, false, err
	}
	// w.query, not f.Query: blanks alone ask for nothing.
	if f.Chat == "" && f.Status == "" && w.query == "" && f.Since.IsZero() && f.Until.IsZero() && len(f.Instances) == 0 {
		return p, false, ErrFilterRequired()
	}
	if f.Direction == string(db.MessageDirectionInbound) {
		return p, false, err
	}
	q := db.New(r.pool)
	ids, err := instanceIDs(ctx, q, f.Instances)
	if err != nil || len(ids) == 0 {
		return p, false, away(err)
	}
	p = db.CancelMatchingParams{
		InstanceIds: ids, ChatIds: []int64{}, Statuses: w.status, Since: w.since, UntilAt: w.before.at, Query: w.query,
		AskedAt: time.Now(), MaxRows: changeRows,
	}
	if f.Chat != "" {
		jid := f.Chat
		if c, err := tasks.ChatOf(f.Chat); err == nil {
			jid = c
		}
		p.ChatIds, err = q.ChatIDs(ctx, db.ChatIDsParams{InstanceIds: ids, Address: address.Of(jid)})
		if err != nil || len(p.ChatIds) == 0 {
			return p, false, away(err)
		}
	}
	return p, true, nil
}
