package inbound

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/gateway"
)

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
