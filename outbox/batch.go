package outbox

import (
	"context"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/tasks"
)

// Result is what came of one message of several.
type Result struct {
	Receipt Receipt
	Err     error // nil: the message is committed
}

// AcceptAll commits messages in the order given, in few statements, and answers
// for each: one that is refused does not concern the others. The error it
// returns is everyone's, such as a database that is away; results without an ID
// are then not known to be committed, and the same call with keys may be
// repeated. Like Accept it does not wait for Redis.
func (o *Outbox) AcceptAll(ctx context.Context, messages []tasks.SendMessage) ([]Result, error) {
	results := make([]Result, len(messages))
	now := time.Now()
	var batch []tasks.SendMessage
	var at []int
	for i, m := range messages {
		if err := check(m, now); err != nil {
			results[i].Receipt, results[i].Err = late(ctx, db.New(o.pool), m, err)
			continue
		}
		batch, at = append(batch, m), append(at, i)
	}
	for len(batch) > 0 {
		n := min(len(batch), acceptMax)
		if err := o.acceptSome(ctx, batch[:n], at[:n], results); err != nil {
			return results, away(err)
		}
		batch, at = batch[n:], at[n:]
	}
	return results, nil
}

// acceptSome commits messages together, or, when one of them makes that fail,
// each alone. at tells where their results go.
func (o *Outbox) acceptSome(ctx context.Context, batch []tasks.SendMessage, at []int, results []Result) error {
	answers, err := o.acceptBatch(ctx, batch)
	switch {
	case err == nil:
		for i, a := range answers {
			results[at[i]] = Result{Receipt: a.receipt, Err: a.err}
		}
		return nil
	case db.Away(err) && !db.Blocked(err):
		return err
	case len(batch) == 1:
		results[at[0]].Err = away(err)
		return nil
	}
	for i := range batch {
		if err := o.acceptSome(ctx, batch[i:i+1], at[i:i+1], results); err != nil {
			return err
		}
	}
	return nil
}
