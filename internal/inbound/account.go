package inbound

import (
	"context"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

// part is what an event says of one instance.
type part struct {
	instance int64
	update   *gateway.Update
}

// accounts takes an event apart by the instances that it tells of, and counts
// what belongs to none that it may tell of. An event that names no accounts is its own instance's.
func (s *Service) accounts(ctx context.Context, q *db.Queries, e db.LockPendingEventsRow, u *gateway.Update) (parts []part, strangers int, err error) {
	byAccount := split(*u)
	if whole, ok := byAccount[""]; ok && len(byAccount) == 1 {
		return []part{{e.InstanceID, whole}}, 0, nil
	}
	var ids []string
	for account := range byAccount {
		ids = append(ids, account)
	}
	known, err := q.InstancesByPhone(ctx, db.InstancesByPhoneParams{SpeakerID: e.InstanceID, PhoneNumberIds: ids})
	if err != nil {
		return nil, 0, err
	}
	for _, i := range known {
		parts = append(parts, part{i.ID, byAccount[i.PhoneNumberID]})
		delete(byAccount, i.PhoneNumberID)
	}
	return parts, len(byAccount), nil
}

// split returns what an update says by account.
func split(u gateway.Update) map[string]*gateway.Update {
	parts := map[string]*gateway.Update{}
	of := func(account string) *gateway.Update {
		if parts[account] == nil {
			parts[account] = &gateway.Update{Handled: true}
		}
		return parts[account]
	}
	for _, m := range u.Messages {
		p := of(m.Account)
		p.Messages = append(p.Messages, m)
	}
	for _, e := range u.Statuses {
		p := of(e.Account)
		p.Statuses = append(p.Statuses, e)
	}
	for _, c := range u.Contacts {
		p := of(c.Account)
		p.Contacts = append(p.Contacts, c)
	}
	for _, e := range u.Edits {
		p := of(e.Account)
		p.Edits = append(p.Edits, e)
	}
	for _, d := range u.Deletions {
		p := of(d.Account)
		p.Deletions = append(p.Deletions, d)
	}
	for _, s := range u.Presence {
		p := of(s.Account)
		p.Presence = append(p.Presence, s)
	}
	for _, g := range u.Groups {
		p := of(g.Account)
		p.Groups = append(p.Groups, g)
	}
	for _, c := range u.Calls {
		p := of(c.Account)
		p.Calls = append(p.Calls, c)
	}
	for _, l := range u.Labels {
		p := of(l.Account)
		p.Labels = append(p.Labels, l)
	}
	for _, c := range u.LabelChanges {
		p := of(c.Account)
		p.LabelChanges = append(p.LabelChanges, c)
	}
	if len(parts) == 0 || len(u.Chats) > 0 || u.Connection != nil {
		p := of("")
		p.Chats, p.Connection = u.Chats, u.Connection
	}
	return parts
}
