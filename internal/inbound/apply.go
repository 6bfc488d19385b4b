package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

const (
	applyChunk  = 50              // events applied in one transaction
	heardChunk  = 500             // messages stored by one statement; a history sync brings thousands
	maxAttempts = 12              // of applying an event that fails for a reason of its own
	flightWait  = time.Second     // before looking again whether a report is of our own message
	clockSkew   = 5 * time.Minute // how far a gateway's clock may run ahead of ours
)

// Apply handles a task that carries one event.
func (s *Service) Apply(ctx context.Context, t tasks.GatewayEvent) error {
	id, err := uuid.Parse(t.ID)
	if err != nil {
		return fault.New(fault.Invalid, "invalid_id", "The event's id is no UUID.")
	}
	waiting, err := s.apply(ctx, []uuid.UUID{id})
	if err != nil {
		return s.giveUp(ctx, id, err)
	}
	if len(waiting) > 0 {
		return fault.New(fault.Throttled, "message_in_flight", "The event may report a message that is being sent.").RetryAfter(flightWait)
	}
	return nil
}

// ApplyAll handles a task that carries events which arrived together. One that
// fails or must wait gets a task of its own.
func (s *Service) ApplyAll(ctx context.Context, b tasks.GatewayEvents) error {
	ids := make([]uuid.UUID, 0, len(b.Events))
	for _, e := range b.Events {
		id, err := uuid.Parse(e.ID)
		if err != nil {
			return fault.New(fault.Invalid, "invalid_id", "The task holds an event whose id is no UUID.")
		}
		ids = append(ids, id)
	}
	for len(ids) > 0 {
		n := min(len(ids), applyChunk)
		if err := s.applyChunk(ctx, ids[:n]); err != nil {
			return err // what was applied stays applied; the rest comes back with the task
		}
		ids = ids[n:]
	}
	return nil
}

// applyChunk applies events together, or, when that fails because of one of
// them, each alone.
func (s *Service) applyChunk(ctx context.Context, ids []uuid.UUID) error {
	waiting, err := s.applies.Do(ctx, ids)
	if err != nil && db.Away(err) {
		return unavailable(err)
	}
	if err != nil {
		waiting = ids
	}
	for _, id := range waiting {
		wait := flightWait
		if err != nil {
			wait = 0
		}
		s.requeue(ctx, id, wait)
	}
	return nil
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, "database_unavailable", "The database is away.").Because(err)
}

// giveUp decides whether an event that could not be applied is tried again or
// kept for a person.
func (s *Service) giveUp(ctx context.Context, id uuid.UUID, cause error) error {
	if db.Away(cause) {
		return unavailable(cause)
	}
	q := db.New(s.c.Pool)
	n, err := q.CountEventAttempt(ctx, id)
	if err != nil {
		return unavailable(err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](cause); n < maxAttempts && (!ok || !strings.HasPrefix(pg.Code, "22") && !strings.HasPrefix(pg.Code, "54")) {
		return fmt.Errorf("apply event: %w", cause)
	}
	// Class 22 is a data exception, 54 a limit exceeded: no retry can mend the data.
	s.c.Log.LogAttrs(ctx, slog.LevelError, "event.quarantined", slog.String("event_id", id.String()), slog.Any("error", cause))
	err = q.FinishEvents(ctx, db.FinishEventsParams{
		Ids: []uuid.UUID{id}, States: []string{string(db.EventStateQuarantined)}, Reasons: []string{"apply_failed"},
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// applyBatch applies the chunks of everyone who waits, in one transaction: apart they
// would wait for each other's chats.
func (s *Service) applyBatch(ctx context.Context, batch [][]uuid.UUID) ([][]uuid.UUID, error) {
	waiting, err := s.apply(ctx, slices.Concat(batch...))
	if err != nil {
		return nil, err
	}
	out := make([][]uuid.UUID, len(batch))
	for i, ids := range batch {
		for _, id := range waiting {
			if slices.Contains(ids, id) {
				out[i] = append(out[i], id)
			}
		}
	}
	return out, nil
}

// apply applies events in one transaction and returns those that must wait
// because they may report a message that is on its way to the gateway.
func (s *Service) apply(ctx context.Context, ids []uuid.UUID) (waiting []uuid.UUID, err error) {
	var files []uuid.UUID
	var gaps found
	err = db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		waiting, files, gaps = nil, nil, found{}
		events, err := q.LockPendingEvents(ctx, ids)
		if err != nil || len(events) == 0 {
			return err
		}
		var n news
		var done db.FinishEventsParams
		for _, e := range events {
			state, reason, err := s.read(ctx, q, e, &n)
			if err != nil {
				return err
			}
			if state == db.EventStatePending {
				waiting = append(waiting, e.ID)
				continue
			}
			done.Ids = append(done.Ids, e.ID)
			done.States = append(done.States, string(state))
			done.Reasons = append(done.Reasons, reason)
		}
		if files, err = s.write(ctx, q, &n); err != nil {
			return err
		}
		gaps = n.gaps
		return q.FinishEvents(ctx, done)
	})
	if err != nil {
		return waiting, err
	}
	s.fetch(ctx, files)
	if s.c.OnGap != nil {
		for instance, messages := range gaps.n {
			s.c.OnGap(gaps.names[instance], messages)
		}
	}
	return waiting, nil
}

// read adds what an event says to the news. The state it returns is what
// becomes of the event; pending: it must wait.
func (s *Service) read(ctx context.Context, q *db.Queries, e db.LockPendingEventsRow, n *news) (db.EventState, string, error) {
	update, err := s.decode(e.Gateway, e.Event, e.Body)
	switch {
	case err != nil:
		return db.EventStateQuarantined, fault.Of(err).Code, nil
	case !update.Handled:
		return db.EventStateUnhandled, "", nil
	}
	own, strangers, err := s.accounts(ctx, q, e, &update)
	if err != nil {
		return "", "", err
	}
	for _, part := range own {
		waits, err := s.recognise(ctx, q, part.instance, part.update)
		if err != nil || waits {
			return db.EventStatePending, "", err
		}
	}
	for _, part := range own {
		n.add(part.instance, e, *part.update)
	}
	if update.QR != nil { // whoever reads it owns the session
		n.around.secrets = append(n.around.secrets, e.ID)
	}
	if c := update.Connection; c != nil {
		if err := q.SetConnection(ctx, db.SetConnectionParams{ID: e.InstanceID, Connection: c.State}); err != nil {
			return "", "", err
		}
		if c.State == gateway.ConnectionOpen { // its messages may have waited for that
			if err := q.LookAfter(ctx, e.Instance); err != nil {
				return "", "", err
			}
		}
		s.c.Log.LogAttrs(ctx, slog.LevelInfo, "instance.connection",
			slog.String("instance", e.Instance), slog.String("event", c.State), slog.Int("status", c.Reason))
	}
	// What can be used counts; the event stays for a person to look at the rest.
	switch {
	case strangers > 0:
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "event.quarantined", slog.String("event_id", e.ID.String()),
			slog.String("instance", e.Instance), slog.String("code", "unknown_phone_number_id"))
		return db.EventStateQuarantined, "unknown_phone_number_id", nil
	case len(update.Unusable) > 0:
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "event.quarantined", slog.String("event_id", e.ID.String()),
			slog.String("instance", e.Instance), slog.String("code", "partly_unusable"), slog.Any("reasons", update.Unusable))
		return db.EventStateQuarantined, "partly_unusable", nil
	}
	return db.EventStateApplied, "", nil
}

// recognise finds our own messages among those that a gateway reports. One that
// may be on its way right now makes the event wait, because the gateway has
// reported it before it answered us; one that settles a doubt is taken out of
// the update. Neither must get a second row.
func (s *Service) recognise(ctx context.Context, q *db.Queries, instance int64, u *gateway.Update) (waits bool, err error) {
	var ours []string
	for _, m := range u.Messages {
		if m.FromMe && !m.History {
			ours = append(ours, m.ID)
		}
	}
	if len(ours) == 0 {
		return false, nil
	}
	rows, err := q.KnownGatewayIDs(ctx, db.KnownGatewayIDsParams{InstanceID: instance, GatewayMessageIds: ours})
	if err != nil {
		return false, err
	}
	known := make(map[string]string, len(rows))
	for _, row := range rows {
		known[row.GatewayMessageID] = row.Chat
	}
	var others []gateway.Message
	for _, m := range u.Messages {
		chat, isKnown := known[m.ID]
		if !m.FromMe || m.History || isKnown {
			others = append(others, m)
			if m.FromMe && address.KindOf(chat) != address.KindOf(m.Chat) { // we wrote to one address, and the gateway names another
				u.Contacts = append(u.Contacts, gateway.Contact{JID: m.Chat, Aliases: []string{chat}})
			}
			continue
		}
		if flying, err := q.InFlight(ctx, db.InFlightParams{InstanceID: instance, Text: m.Text}); err != nil || flying {
			return flying, err
		}
		adopted, err := s.adopt(ctx, q, instance, m)
		if err != nil {
			return false, err
		}
		if !adopted {
			others = append(others, m)
		}
	}
	u.Messages = others
	return false, nil
}

// adopt settles a message in doubt by its gateway's report of having sent it
// through its API. What a person typed on the phone says nothing about ours.
func (s *Service) adopt(ctx context.Context, q *db.Queries, instance int64, m gateway.Message) (bool, error) {
	if !m.Echo {
		return false, nil
	}
	id, err := q.AdoptReported(ctx, db.AdoptReportedParams{
		InstanceID: instance, GatewayMessageID: m.ID, Text: m.Text, Addresses: []string{address.Of(m.Chat), address.Of(m.ChatAlt)}, ReportedAt: m.At,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.c.Log.LogAttrs(ctx, slog.LevelInfo, "message.doubt_resolved", slog.String("message_id", id.String()), slog.String("outcome", "reported"))
	return true, q.WakeRelay(ctx) // its chat goes on when this commits
}
