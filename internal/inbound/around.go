package inbound

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/gateway"
)

// around is what events say beside messages, in the columns of the statements that
// store it.
type around struct {
	groups   db.TellGroupsParams
	members  db.TellMembersParams
	complete []db.OnlyMembersParams
	labels   db.TellLabelsParams
	labelled db.TellLabelChangesParams
	presence db.TellPresenceParams
	calls    db.TellCallsParams
	secrets  []uuid.UUID // events whose bodies must not be kept
}

// surroundings adds what an update says beside messages. Its chats are among those
// to make, except for presence: who is only there has no chat yet.
func (n *news) surroundings(instance int64, received time.Time, u gateway.Update) {
	for _, g := range u.Groups {
		n.group(instance, received, g)
	}
	for _, l := range u.Labels {
		p := &n.around.labels
		p.InstanceIds = append(p.InstanceIds, instance)
		p.Labels = append(p.Labels, clean(l.ID))
		p.Names = append(p.Names, clean(l.Name))
		p.Colors = append(p.Colors, int32(l.Color))
		p.Deleteds = append(p.Deleteds, l.Deleted)
		p.ToldAts = append(p.ToldAts, received)
	}
	for _, c := range u.LabelChanges {
		n.chat(instance, c.Chat)
		p := &n.around.labelled
		p.InstanceIds = append(p.InstanceIds, instance)
		p.Addresses = append(p.Addresses, address.Of(c.Chat))
		p.Labels = append(p.Labels, clean(c.LabelID))
		p.GatewayMessageIds = append(p.GatewayMessageIds, clean(c.MessageID))
		p.Presents = append(p.Presents, !c.Removed)
		p.ToldAts = append(p.ToldAts, received)
	}
	for _, s := range u.Presence {
		p := &n.around.presence
		p.InstanceIds = append(p.InstanceIds, instance)
		p.Chats = append(p.Chats, address.Of(s.Chat))
		p.Addresses = append(p.Addresses, address.Of(s.JID))
		p.Jids = append(p.Jids, s.JID)
		p.States = append(p.States, s.State)
		p.LastSeenAts = append(p.LastSeenAts, s.LastSeen.UTC())
		p.ToldAts = append(p.ToldAts, received)
	}
	for _, c := range u.Calls {
		n.chat(instance, c.From)
		p := &n.around.calls
		p.InstanceIds = append(p.InstanceIds, instance)
		p.Addresses = append(p.Addresses, address.Of(c.From))
		p.Calls = append(p.Calls, clean(c.ID))
		p.Videos = append(p.Videos, c.Video)
		p.Statuses = append(p.Statuses, c.Status)
		p.Ranks = append(p.Ranks, rankOf(c.Status))
		p.ToldAts = append(p.ToldAts, orNow(c.At, received))
	}
}

// rankOf orders what becomes of a call, whatever order it is told in.
func rankOf(status string) int32 {
	switch status {
	case gateway.CallOffer:
		return 0
	case gateway.CallRinging:
		return 1
	case gateway.CallTerminate: // says less than how it ended
		return 2
	}
	return 3
}

func (n *news) group(instance int64, received time.Time, g gateway.Group) {
	n.chat(instance, g.JID)
	n.name(instance, g.JID, g.Name)
	p := &n.around.groups
	p.InstanceIds = append(p.InstanceIds, instance)
	p.Addresses = append(p.Addresses, address.Of(g.JID))
	p.Descriptions = append(p.Descriptions, clean(g.Description))
	p.Owners = append(p.Owners, g.Owner)
	p.ToldAts = append(p.ToldAts, received)
	all := db.OnlyMembersParams{InstanceID: instance, GroupAddress: address.Of(g.JID), ToldAt: received, Addresses: []string{}}
	m := &n.around.members
	for _, one := range g.Participants {
		m.InstanceIds = append(m.InstanceIds, instance)
		m.Groups = append(m.Groups, address.Of(g.JID))
		m.Addresses = append(m.Addresses, address.Of(one.JID))
		m.Jids = append(m.Jids, one.JID)
		m.Presents = append(m.Presents, g.Action != gateway.GroupRemove)
		m.Admins = append(m.Admins, one.Admin)
		m.ToldAts = append(m.ToldAts, received)
		all.Addresses = append(all.Addresses, address.Of(one.JID))
	}
	if g.Action == "" && len(g.Participants) > 0 {
		n.around.complete = append(n.around.complete, all)
	}
}

// store writes what is around, once its chats are there.
func (a *around) store(ctx context.Context, q *db.Queries) error {
	for _, step := range []struct {
		what string
		rows int
		do   func() error
	}{
		{"groups", len(a.groups.Addresses), func() error { return q.TellGroups(ctx, a.groups) }},
		{"members", len(a.members.Addresses), func() error { return q.TellMembers(ctx, a.members) }},
		{"members", len(a.complete), func() error {
			return each(a.complete, func(p db.OnlyMembersParams) error { return q.OnlyMembers(ctx, p) })
		}},
		{"labels", len(a.labels.Labels), func() error { return q.TellLabels(ctx, a.labels) }},
		{"labels", len(a.labelled.Labels), func() error { return q.TellLabelChanges(ctx, a.labelled) }},
		{"presence", len(a.presence.States), func() error { return q.TellPresence(ctx, a.presence) }},
		{"calls", len(a.calls.Calls), func() error { return q.TellCalls(ctx, a.calls) }},
		{"secrets", len(a.secrets), func() error { return q.ForgetBodies(ctx, a.secrets) }},
	} {
		if step.rows == 0 {
			continue
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("store %s: %w", step.what, err)
		}
	}
	return nil
}

func each[T any](list []T, do func(T) error) error {
	for _, one := range list {
		if err := do(one); err != nil {
			return err
		}
	}
	return nil
}
