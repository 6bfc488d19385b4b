package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	waiting, err := s.apply(ctx, ids)
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
	known, err := q.KnownGatewayIDs(ctx, db.KnownGatewayIDsParams{InstanceID: instance, GatewayMessageIds: ours})
	if err != nil {
		return false, err
	}
	var others []gateway.Message
	for _, m := range u.Messages {
		if !m.FromMe || m.History || slices.Contains(known, m.ID) {
			others = append(others, m)
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

// news is what events say, in the columns of the statements that store it.
type news struct {
	chats     db.EnsureChatsParams
	names     db.NameChatsParams
	people    []person
	around    around
	contacts  db.UpsertContactsParams
	heard     []heard
	gaps      found
	ours      db.AdoptOursParams
	evidence  db.ApplyEvidenceParams
	edits     db.EditHeardParams
	deletions db.DeleteHeardParams
}

type heard struct {
	id       uuid.UUID
	instance int64
	written  time.Time
	m        gateway.Message
}

func (n *news) add(instance int64, e db.LockPendingEventsRow, u gateway.Update) {
	received := e.ReceivedAt
	for _, c := range u.Contacts {
		n.contact(instance, c.JID, c.Name)
	}
	for _, c := range u.Chats {
		n.chat(instance, c.JID)
		n.name(instance, c.JID, c.Name)
	}
	n.people = append(n.people, people(instance, u)...)
	n.surroundings(instance, received, u)
	for _, m := range u.Messages {
		n.chat(instance, m.Chat)
		if !m.FromMe {
			n.contact(instance, writer(m), m.PushName)
		}
		h := heard{id: uuid.Must(uuid.NewV7()), instance: instance, written: writtenAt(m.At, received), m: m}
		n.heard = append(n.heard, h)
		if e.Event == gateway.EventFound {
			n.gaps.expect(h.id, instance, e.Instance)
		}
		if m.FromMe && m.Status != "" && m.Status != gateway.StatusAccepted {
			n.proof(instance, m.ID, m.Status, received, "")
		}
	}
	for _, e := range u.Statuses {
		at := e.At
		if at.IsZero() {
			at = received
		}
		n.proof(instance, e.MessageID, e.Status, at, e.Reason)
		if id, err := uuid.Parse(e.Ours); err == nil {
			n.ours.InstanceIds = append(n.ours.InstanceIds, instance)
			n.ours.Ids = append(n.ours.Ids, id)
			n.ours.GatewayMessageIds = append(n.ours.GatewayMessageIds, e.MessageID)
		}
	}
	for _, e := range u.Edits {
		n.edits.InstanceIds = append(n.edits.InstanceIds, instance)
		n.edits.GatewayMessageIds = append(n.edits.GatewayMessageIds, e.MessageID)
		n.edits.Texts = append(n.edits.Texts, clean(e.Text))
		n.edits.Ats = append(n.edits.Ats, orNow(e.At, received))
	}
	for _, d := range u.Deletions {
		n.deletions.InstanceIds = append(n.deletions.InstanceIds, instance)
		n.deletions.GatewayMessageIds = append(n.deletions.GatewayMessageIds, d.MessageID)
		n.deletions.Ats = append(n.deletions.Ats, orNow(d.At, received))
	}
}

// orNow is when something happened, or when we heard of it if nobody said.
func orNow(at, received time.Time) time.Time {
	if at.IsZero() || at.After(received.Add(clockSkew)) {
		return received
	}
	return at
}

// writer is who chose a message's push name.
func writer(m gateway.Message) string {
	if m.Sender != "" {
		return m.Sender
	}
	return m.Chat
}

func (n *news) chat(instance int64, jid string) {
	n.chats.InstanceIds = append(n.chats.InstanceIds, instance)
	n.chats.Jids = append(n.chats.Jids, jid)
	n.chats.Addresses = append(n.chats.Addresses, address.Of(jid))
}

func (n *news) name(instance int64, jid, name string) {
	if name = clean(name); name == "" {
		return
	}
	n.names.InstanceIds = append(n.names.InstanceIds, instance)
	n.names.Addresses = append(n.names.Addresses, address.Of(jid))
	n.names.Names = append(n.names.Names, name)
}

func (n *news) contact(instance int64, jid, name string) {
	n.contacts.InstanceIds = append(n.contacts.InstanceIds, instance)
	n.contacts.Jids = append(n.contacts.Jids, jid)
	n.contacts.Names = append(n.contacts.Names, clean(name))
}

func (n *news) proof(instance int64, id string, status gateway.Status, at time.Time, reason string) {
	n.evidence.InstanceIds = append(n.evidence.InstanceIds, instance)
	n.evidence.GatewayMessageIds = append(n.evidence.GatewayMessageIds, id)
	n.evidence.Statuses = append(n.evidence.Statuses, string(status))
	n.evidence.Ats = append(n.evidence.Ats, at)
	n.evidence.Reasons = append(n.evidence.Reasons, clean(reason))
}

// write stores the news. Chats and contacts come first and in one order, so
// that two of these never wait for each other. It answers with the messages whose
// files are to be fetched.
func (s *Service) write(ctx context.Context, q *db.Queries, n *news) (files []uuid.UUID, err error) {
	if err := s.writeChats(ctx, q, n); err != nil {
		return nil, err
	}
	if err := n.around.store(ctx, q); err != nil {
		return nil, err
	}
	if len(n.contacts.Jids) > 0 {
		if err := q.UpsertContacts(ctx, n.contacts); err != nil {
			return nil, fmt.Errorf("upsert contacts: %w", err)
		}
	}
	slices.SortStableFunc(n.heard, func(a, b heard) int { return a.written.Compare(b.written) })
	for rest := n.heard; len(rest) > 0; {
		k := min(len(rest), heardChunk)
		p := heardParams(rest[:k])
		made, err := q.StoreHeard(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("store messages: %w", err)
		}
		n.gaps.made(made)
		due, err := noteFiles(ctx, q, rest[:k], p.Ids, made)
		if err != nil {
			return nil, err
		}
		files, rest = append(files, due...), rest[k:]
	}
	if err := n.gaps.write(ctx, q); err != nil {
		return nil, err
	}
	return files, n.writeChanges(ctx, q)
}

// writeChats makes the chats that the news are of, and what is known of whose
// they are.
func (s *Service) writeChats(ctx context.Context, q *db.Queries, n *news) error {
	strangers, err := s.learn(ctx, q, n.people)
	if err != nil {
		return err
	}
	for _, p := range strangers {
		n.chat(p.instance, p.jids[0])
	}
	if len(n.chats.Jids) > 0 {
		if err := q.EnsureChats(ctx, n.chats); err != nil {
			return fmt.Errorf("ensure chats: %w", err)
		}
	}
	if _, err := s.learn(ctx, q, strangers); err != nil {
		return err
	}
	if len(n.names.Names) > 0 {
		if err := q.NameChats(ctx, n.names); err != nil {
			return fmt.Errorf("name chats: %w", err)
		}
	}
	return nil
}

// writeChanges stores what is said of messages that are there.
func (n *news) writeChanges(ctx context.Context, q *db.Queries) error {
	if len(n.ours.Ids) > 0 {
		adopted, err := q.AdoptOurs(ctx, n.ours)
		if err != nil {
			return fmt.Errorf("adopt messages: %w", err)
		}
		if len(adopted) > 0 { // their chats go on when this commits
			if err := q.WakeRelay(ctx); err != nil {
				return err
			}
		}
	}
	if len(n.evidence.Statuses) > 0 {
		if _, err := q.ApplyEvidence(ctx, n.evidence); err != nil {
			return fmt.Errorf("apply evidence: %w", err)
		}
	}
	if len(n.edits.Texts) > 0 {
		if err := q.EditHeard(ctx, n.edits); err != nil {
			return fmt.Errorf("edit messages: %w", err)
		}
	}
	if len(n.deletions.Ats) > 0 {
		if err := q.DeleteHeard(ctx, n.deletions); err != nil {
			return fmt.Errorf("delete messages: %w", err)
		}
	}
	return nil
}

func heardParams(rows []heard) (p db.StoreHeardParams) {
	for _, h := range rows {
		direction := db.MessageDirectionInbound
		if h.m.FromMe {
			direction = db.MessageDirectionOutbound
		}
		p.Ids = append(p.Ids, h.id)
		p.InstanceIds = append(p.InstanceIds, h.instance)
		p.Addresses = append(p.Addresses, address.Of(h.m.Chat))
		p.Directions = append(p.Directions, string(direction))
		p.Types = append(p.Types, h.m.Type)
		p.Texts = append(p.Texts, clean(h.m.Text))
		p.Contents = append(p.Contents, string(h.m.Content))
		p.Senders = append(p.Senders, h.m.Sender)
		p.GatewayMessageIds = append(p.GatewayMessageIds, h.m.ID)
		p.QuotedIds = append(p.QuotedIds, clean(h.m.QuotedID))
		p.WrittenAts = append(p.WrittenAts, h.written)
		p.Counts = append(p.Counts, !h.m.History)
	}
	return p
}

// writtenAt places a message in time. Gateways give whole seconds: within its
// second a message stands where it was received, so that an answer comes after
// what it answers, and messages of different seconds never change places.
func writtenAt(at, received time.Time) time.Time {
	if at.IsZero() || at.After(received.Add(clockSkew)) {
		return received
	}
	if received.Before(at) {
		return at
	}
	if last := at.Add(time.Second - time.Microsecond); received.After(last) {
		return last
	}
	return received
}

// clean makes text storable: PostgreSQL takes neither NUL nor broken UTF-8.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
