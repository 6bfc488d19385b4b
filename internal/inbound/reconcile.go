package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// Bounds of a run.
const (
	reconcileLease = 30 * time.Second // longer than a page takes
	askTimeout     = 20 * time.Second // for one page
	stepPages      = 5                // of what is compared at a time, and held in memory
	runPages       = 100              // after that another task goes on
	runTime        = time.Minute      // or after that
	// overlap is how far a run looks back behind the last one's end: a phone that was
	// offline brings messages that were written before, and statuses change.
	overlap = 10 * time.Minute
	// leastStep is not cut any further, however many pages it has.
	leastStep = time.Second
)

// Recorders finds out how an instance's gateway is asked for its records.
type Recorders interface {
	// Recorder returns nil when that kind of gateway keeps none.
	Recorder(i db.Instance) (gateway.Historian, gateway.Account, error)
}

// Reconciler compares what gateways have written down with what their webhooks
// have told, and hands over what is missing as if a webhook had told it: stored,
// once, and applied in the order of its chat. All fields are required.
type Reconciler struct {
	In        *Service
	Recorders Recorders
	Log       *slog.Logger
	Every     time.Duration // between two runs of an instance
	Grace     time.Duration // how long a webhook may be on its way; what was written since then is left for the next run
	Depth     time.Duration // how far the first run of an instance looks back; what is older counts as history
}

// Reconcile handles the task that compares one instance. Two runs never have the
// same instance; one that was killed is gone on with from where it had come. A
// gateway that is away is left for another time.
func (r *Reconciler) Reconcile(ctx context.Context, t tasks.ReconcileInstance) error {
	q := db.New(r.In.c.Pool)
	i, err := q.ClaimReconcile(ctx, db.ClaimReconcileParams{Name: t.Instance, Lease: reconcileLease})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it is gone, or another run has it
	}
	if err != nil {
		return unavailable(err)
	}
	historian, account, err := r.Recorders.Recorder(i)
	if err != nil || historian == nil {
		return r.end(ctx, i, err, time.Now().Add(r.Every))
	}
	run := comparison{Reconciler: r, q: q, instance: i, historian: historian, account: account}
	if err = run.all(ctx); errors.Is(err, errTaken) {
		err = nil
	}
	if run.lost > 0 {
		r.Log.LogAttrs(ctx, slog.LevelWarn, "instance.gap", slog.String("instance", i.Name), slog.Int("messages", run.lost))
	}
	return r.end(ctx, i, err, time.Now().Add(r.Every/3))
}

// end gives the instance back. After a failure it is left alone for a while.
func (r *Reconciler) end(ctx context.Context, i db.Instance, failure error, again time.Time) error {
	p := db.EndReconcileParams{ID: i.ID, Run: i.ReconcileRun}
	if failure != nil {
		r.Log.LogAttrs(ctx, slog.LevelWarn, "instance.unreconciled", slog.String("instance", i.Name), slog.Any("error", failure))
		p.ReconcileAt = &again
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	if err := db.New(r.In.c.Pool).EndReconcile(ending, p); err != nil {
		return unavailable(err)
	}
	return nil
}

// comparison is one run.
type comparison struct {
	*Reconciler
	q         *db.Queries
	instance  db.Instance
	historian gateway.Historian
	account   gateway.Account
	oldBefore time.Time
	pages     int // asked for so far
	lost      int // messages that no webhook had told of
}

// all compares step by step, and notes after each how far it has come. The length
// of a step follows from how much there is, because the pages of a long one would
// be in no order, and could not be gone on with.
func (c *comparison) all(ctx context.Context) error {
	now := time.Now()
	end := now.Add(-c.Grace).Truncate(time.Second)
	c.oldBefore = c.instance.CreatedAt
	if horizon := now.Add(-c.Depth); horizon.After(c.oldBefore) {
		c.oldBefore = horizon
	}
	from, reached := now.Add(-c.Depth).Truncate(time.Second), time.Time{}
	if c.instance.ReconciledTo != nil {
		reached = *c.instance.ReconciledTo
		from = reached.Add(-overlap).Truncate(time.Second)
	}
	length := end.Sub(from)
	for from.Before(end) && (c.inBudget(now) || !from.After(reached)) {
		to := from.Add(min(length, end.Sub(from)))
		records, shorter, err := c.collect(ctx, from, to)
		if err != nil {
			return err
		}
		if shorter > 0 {
			length = shorter
			continue
		}
		if err := c.compare(ctx, records); err != nil {
			return err
		}
		n, err := c.q.SaveReconciled(ctx, db.SaveReconciledParams{ReconciledTo: to, ID: c.instance.ID, Run: c.instance.ReconcileRun})
		if err != nil || n == 0 {
			return err // without a row another run has it
		}
		from = to
	}
	return nil
}

func (c *comparison) inBudget(began time.Time) bool {
	return c.pages < runPages && time.Since(began) < runTime
}

// errTaken ends a run whose instance another one has.
var errTaken = errors.New("another run has the instance")

// collect reads all records of a time, in the order in which they were written.
// When there are too many it says how long a time to ask for instead.
func (c *comparison) collect(ctx context.Context, from, to time.Time) (records []gateway.Record, shorter time.Duration, err error) {
	newest := false
	for page, pages := 1, 1; page <= pages; page++ {
		n, err := c.q.RenewReconcile(ctx, db.RenewReconcileParams{Lease: reconcileLease, ID: c.instance.ID, Run: c.instance.ReconcileRun})
		if err != nil {
			return nil, 0, err
		}
		if n == 0 {
			return nil, 0, errTaken
		}
		p, err := c.ask(ctx, gateway.Span{From: from, To: to, OldBefore: c.oldBefore, Page: page})
		if err != nil {
			return nil, 0, err
		}
		c.pages++
		pages = p.Pages
		if pages > stepPages && to.Sub(from) > leastStep {
			return nil, max(to.Sub(from)*stepPages/time.Duration(2*pages), leastStep).Truncate(time.Second), nil
		}
		records, newest = append(records, p.Records...), newest || p.Newest
	}
	if newest { // so that those of one second keep their order
		slices.Reverse(records)
	}
	slices.SortStableFunc(records, func(a, b gateway.Record) int { return a.At.Compare(b.At) })
	return records, 0, nil
}

func (c *comparison) ask(ctx context.Context, s gateway.Span) (gateway.RecordPage, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.historian.Records(ctx, c.account, s)
}

// compare stores, as events, the records that have no row, and the statuses that
// their rows do not know.
func (c *comparison) compare(ctx context.Context, records []gateway.Record) error {
	if len(records) == 0 {
		return nil
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	rows, err := c.q.KnownWays(ctx, db.KnownWaysParams{InstanceID: c.instance.ID, GatewayMessageIds: ids})
	if err != nil {
		return fmt.Errorf("look up messages: %w", err)
	}
	known := make(map[string]db.KnownWaysRow, len(rows))
	for _, row := range rows {
		known[row.GatewayMessageID] = row
	}
	var missing, reports []gateway.Envelope
	for _, r := range records {
		row, there := known[r.ID]
		if !there {
			missing = append(missing, r.Message)
		}
		if r.Status != "" && (there && row.Learns(db.MessageStatus(r.Status)) || !there && r.FromMe) {
			reports = append(reports, r.Report)
		}
	}
	lost, err := c.In.acceptFound(ctx, c.instance, missing)
	c.lost += lost
	if err != nil {
		return err
	}
	_, err = c.In.acceptFound(ctx, c.instance, reports)
	return err
}

// acceptFound stores events in their order, and counts those that are new and
// tell of a message that a webhook should have told of.
func (s *Service) acceptFound(ctx context.Context, i db.Instance, found []gateway.Envelope) (lost int, err error) {
	for chunk := range slices.Chunk(found, storeMax) {
		batch := make([]event, len(chunk))
		for n, e := range chunk {
			batch[n] = s.eventOf(ctx, i, e)
		}
		receipts, err := s.storeEach(ctx, batch)
		if err != nil {
			return lost, err
		}
		for n, r := range receipts {
			if r.Status == Accepted && chunk[n].Event == gateway.EventFound && batch[n].state == db.EventStatePending {
				lost++
			}
		}
	}
	return lost, nil
}

// storeEach stores events together or, when that fails because of one of them,
// one by one. One that cannot be stored holds up those after it.
func (s *Service) storeEach(ctx context.Context, batch []event) ([]Receipt, error) {
	receipts, err := s.storeBatch(ctx, batch)
	if err == nil || db.Away(err) || len(batch) == 1 {
		return receipts, err
	}
	receipts = make([]Receipt, 0, len(batch))
	for n := range batch {
		r, err := s.storeBatch(ctx, batch[n:n+1])
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, r...)
	}
	return receipts, nil
}
