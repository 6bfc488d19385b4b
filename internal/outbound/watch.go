package outbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// Bounds of the watchdog.
const (
	watchBatch  = 500
	watchBack   = 24 * time.Hour   // how far the first look goes back
	watchStep   = 10 * time.Minute // of settled messages that are looked at together
	watchAgain  = time.Minute      // looked at twice, because a commit may come late
	settledSoon = time.Minute      // after they were accepted; messages_late_idx has the others
	watchPages  = 5                // of one gateway's records, in one run
	watchAround = time.Minute      // a gateway's times and ours
)

// Watchdog marks messages that a gateway took and then said nothing more of.
// It never sends anything. All fields but Overdue are required.
type Watchdog struct {
	Out      *Service
	Log      *slog.Logger
	Patience time.Duration // how long a report may take
	Overdue  func(instance string, messages int)
}

// Watch handles the task that looks for such messages. It looks at each message
// once, when its time has come. Gateways that keep records are asked first; what
// they know counts as if they had reported it.
func (w *Watchdog) Watch(ctx context.Context, _ tasks.WatchAcks) error {
	q := db.New(w.Out.c.Pool)
	now := time.Now()
	after := now.Add(-watchBack)
	switch seen, err := q.AckWatch(ctx); {
	case err == nil && seen.After(after):
		after = seen.Add(-watchAgain)
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return unavailable("find where the watch stands", err)
	}
	run := watching{Watchdog: w, q: q, pages: map[int64]int{}, marked: map[string]int{}}
	defer run.tell(ctx)
	for end := now.Add(-w.Patience); after.Before(end); {
		until := after.Add(min(watchStep, end.Sub(after)))
		if err := run.step(ctx, after, until); err != nil {
			return unavailable("watch for reports", err)
		}
		if err := q.SaveAckWatch(ctx, until.UTC().Format(time.RFC3339Nano)); err != nil {
			return unavailable("save where the watch stands", err)
		}
		after = until
	}
	return nil
}

// watching is one run.
type watching struct {
	*Watchdog
	q      *db.Queries
	pages  map[int64]int  // asked for so far, by instance
	marked map[string]int // by instance
}

// step looks at the messages that were settled between two times.
func (w *watching) step(ctx context.Context, after, until time.Time) error {
	for {
		rows, err := w.q.Unacknowledged(ctx, db.UnacknowledgedParams{
			After: after, Until: until, AcceptedAfter: after.Add(-settledSoon), MaxRows: watchBatch,
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		of := map[int64][]db.UnacknowledgedRow{}
		ids := make([]uuid.UUID, len(rows))
		for i, m := range rows {
			of[m.InstanceID], ids[i] = append(of[m.InstanceID], m), m.ID
		}
		for _, silent := range of {
			if err := w.ask(ctx, silent); err != nil {
				return err
			}
		}
		marked, err := w.q.MarkOverdue(ctx, ids)
		if err != nil {
			return err
		}
		for _, m := range marked {
			w.marked[m.Instance] += int(m.Messages)
		}
	}
}

// tell says how many were marked, once for each instance.
func (w *watching) tell(ctx context.Context) {
	for instance, n := range w.marked {
		w.Log.LogAttrs(ctx, slog.LevelWarn, "messages.ack_overdue", slog.String("instance", instance), slog.Int("messages", n))
		if w.Overdue != nil {
			w.Overdue(instance, n)
		}
	}
}

// ask has an instance's gateway say what it knows of messages. That it cannot
// tell leaves them as they are.
func (w *watching) ask(ctx context.Context, silent []db.UnacknowledgedRow) error {
	m := silent[0]
	g, account, refusal := w.Out.account(head{Instance: m.Instance, Gateway: m.Gateway, BaseUrl: m.BaseUrl, Credential: m.Credential, PhoneNumberID: m.PhoneNumberID})
	if refusal != nil || g.Historian == nil {
		return nil
	}
	sought := make(map[string]bool, len(silent))
	for _, m := range silent {
		sought[m.GatewayMessageID] = true
	}
	span := gateway.Span{From: m.SettledAt.Add(-watchAround), To: silent[len(silent)-1].SettledAt.Add(watchAround), Ours: true, Page: 1}
	var told db.ApplyEvidenceParams
	for now := time.Now(); w.pages[m.InstanceID] < watchPages; span.Page++ {
		w.pages[m.InstanceID]++
		page, err := w.records(ctx, g, account, span)
		if err != nil {
			w.pages[m.InstanceID] = watchPages // not again in this run
			w.Log.LogAttrs(ctx, slog.LevelDebug, "instance.unasked", slog.String("instance", m.Instance), slog.Any("error", err))
			break
		}
		for _, r := range page.Records {
			if sought[r.ID] && r.Status != "" {
				told.InstanceIds = append(told.InstanceIds, m.InstanceID)
				told.GatewayMessageIds = append(told.GatewayMessageIds, r.ID)
				told.Statuses = append(told.Statuses, string(r.Status))
				told.Ats = append(told.Ats, now)
				told.Reasons = append(told.Reasons, "")
			}
		}
		if span.Page >= page.Pages {
			break
		}
	}
	if len(told.Statuses) == 0 {
		return nil
	}
	if _, err := w.q.ApplyEvidence(ctx, told); err != nil {
		return fmt.Errorf("apply evidence: %w", err)
	}
	return nil
}

func (w *watching) records(ctx context.Context, g Gateway, account gateway.Account, span gateway.Span) (gateway.RecordPage, error) {
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	return g.Historian.Records(ctx, account, span)
}

// Recorder finds out how an instance's gateway is asked for its records; nil: it
// keeps none.
func (s *Service) Recorder(i db.Instance) (gateway.Historian, gateway.Account, error) {
	g, account, refusal := s.account(head{Instance: i.Name, Gateway: i.Gateway, BaseUrl: i.BaseUrl, Credential: i.Credential, PhoneNumberID: i.PhoneNumberID})
	if refusal != nil {
		return nil, account, errors.New(refusal.Code)
	}
	return g.Historian, account, nil
}
