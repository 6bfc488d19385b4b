package inbound

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/gateway"
)

// place is an address in an instance: what leads to a chat.
type place struct {
	instance int64
	address  string
}

// person is somebody of whom a gateway told more than one address.
type person struct {
	instance int64
	jids     []string // of different addresses; the first is the one the gateway prefers
}

// people returns those of whom an update tells more than one address.
func people(instance int64, u gateway.Update) (found []person) {
	add := func(jids ...string) {
		p := person{instance: instance}
		for _, jid := range jids {
			if address.KindOf(jid) != address.Other && !slices.ContainsFunc(p.jids, func(j string) bool { return address.SameNumber(j, jid) }) {
				p.jids = append(p.jids, jid)
			}
		}
		same := func(o person) bool { return slices.Equal(o.jids, p.jids) }
		if len(p.jids) > 1 && !slices.ContainsFunc(found, same) {
			found = append(found, p)
		}
	}
	for _, c := range u.Contacts {
		add(append([]string{c.JID}, c.Aliases...)...)
	}
	for _, m := range u.Messages {
		add(m.Chat, m.ChatAlt)
	}
	for _, g := range u.Groups {
		for _, p := range g.Participants {
			add(append([]string{p.JID}, p.Aliases...)...)
		}
	}
	return found
}

// identities learns which addresses are one person's. What it knows it keeps in
// step with what it writes, for the people after.
type identities struct {
	q      *db.Queries
	log    *slog.Logger
	chats  map[place]int64
	kinds  map[int64]map[address.Kind]string // the addresses of chats that may get more
	called map[int64]string
}

// learn gives the chats of people their further addresses, and notes which chats
// are one person's. It answers with those who have no chat at all yet.
func (s *Service) learn(ctx context.Context, q *db.Queries, known []person) (strangers []person, err error) {
	if len(known) == 0 {
		return nil, nil
	}
	ids := identities{q: q, log: s.c.Log, chats: map[place]int64{}, kinds: map[int64]map[address.Kind]string{}, called: map[int64]string{}}
	if err := ids.find(ctx, known); err != nil {
		return nil, err
	}
	for _, p := range known {
		is, err := ids.isStranger(ctx, p)
		if err != nil {
			return nil, err
		}
		if is {
			strangers = append(strangers, p)
		}
	}
	return strangers, nil
}

// find reads which chats the people's addresses lead to.
func (ids *identities) find(ctx context.Context, known []person) error {
	var args db.FindAddressesParams
	for _, p := range known {
		for _, jid := range p.jids {
			args.InstanceIds = append(args.InstanceIds, p.instance)
			args.Addresses = append(args.Addresses, address.Of(jid))
		}
	}
	rows, err := ids.q.FindAddresses(ctx, args)
	if err != nil {
		return fmt.Errorf("find addresses: %w", err)
	}
	for _, r := range rows {
		ids.chats[place{r.InstanceID, r.Address}] = r.ChatID
	}
	return nil
}

// isStranger reports whether no address of a person leads to a chat. Otherwise
// they all do when it returns, or will when their chats are merged.
func (ids *identities) isStranger(ctx context.Context, p person) (bool, error) {
	var theirs []int64
	var added []string
	for _, jid := range p.jids {
		chat, known := ids.chats[place{p.instance, address.Of(jid)}]
		switch {
		case !known:
			added = append(added, jid)
		case !slices.Contains(theirs, chat):
			theirs = append(theirs, chat)
		}
	}
	if len(theirs) == 0 {
		return true, nil
	}
	if len(theirs) == 1 && len(added) == 0 {
		return false, nil // as nearly always
	}
	if err := ids.load(ctx, theirs); err != nil {
		return false, err
	}
	slices.Sort(theirs)
	for _, chat := range theirs[1:] {
		if err := ids.merge(ctx, chat, theirs[0]); err != nil {
			return false, err
		}
	}
	for _, jid := range added {
		if err := ids.add(ctx, p.instance, theirs[0], jid); err != nil {
			return false, err
		}
	}
	return false, nil
}

// load reads what addresses chats have.
func (ids *identities) load(ctx context.Context, chats []int64) error {
	rows, err := ids.q.AddressesOfChats(ctx, chats)
	if err != nil {
		return fmt.Errorf("read addresses: %w", err)
	}
	for _, r := range rows {
		ids.called[r.ChatID] = r.Jid
		if ids.kinds[r.ChatID] == nil {
			ids.kinds[r.ChatID] = map[address.Kind]string{}
		}
		ids.kinds[r.ChatID][address.KindOf(r.Address)] = r.Address
	}
	return nil
}

// fits reports whether a chat can have an address beside those it has. Somebody has
// one number and one LID: with another number they are somebody else, because
// numbers are given to others in time. Business-scoped ids do change.
func (ids *identities) fits(chat int64, addr string) bool {
	kind := address.KindOf(addr)
	has, ok := ids.kinds[chat][kind]
	return !ok || has == addr || kind == address.Scoped
}

func (ids *identities) add(ctx context.Context, instance, chat int64, jid string) error {
	addr := address.Of(jid)
	if !ids.fits(chat, addr) {
		ids.refuse(ctx)
		return nil
	}
	n, err := ids.q.AddAddress(ctx, db.AddAddressParams{Address: addr, InstanceID: instance, Jid: jid, ChatID: chat})
	if err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	if n == 0 {
		return ids.meet(ctx, person{instance, []string{jid}}, chat)
	}
	ids.chats[place{instance, addr}] = chat
	ids.kinds[chat][address.KindOf(addr)] = addr
	if address.KindOf(jid) > address.KindOf(ids.called[chat]) {
		ids.called[chat] = jid
		if err := ids.q.CallChat(ctx, db.CallChatParams{ID: chat, Jid: jid, Address: addr}); err != nil {
			return fmt.Errorf("call chat: %w", err)
		}
	}
	return nil
}

// meet merges a chat with that of a person whose chat somebody else made just now.
func (ids *identities) meet(ctx context.Context, p person, chat int64) error {
	if err := ids.find(ctx, []person{p}); err != nil {
		return err
	}
	other := ids.chats[place{p.instance, address.Of(p.jids[0])}]
	if other == 0 || other == chat {
		return nil
	}
	if err := ids.load(ctx, []int64{chat, other}); err != nil {
		return err
	}
	return ids.merge(ctx, max(chat, other), min(chat, other))
}

func (ids *identities) merge(ctx context.Context, chat, into int64) error {
	for _, addr := range ids.kinds[chat] {
		if !ids.fits(into, addr) {
			ids.refuse(ctx)
			return nil
		}
	}
	if err := ids.q.AskToMerge(ctx, db.AskToMergeParams{ChatID: chat, IntoID: into}); err != nil {
		return fmt.Errorf("ask to merge chats: %w", err)
	}
	return ids.q.WakeRelay(ctx) // which queues the task, when this commits
}

func (ids *identities) refuse(ctx context.Context) {
	ids.log.LogAttrs(ctx, slog.LevelWarn, "contact.alias_refused", slog.String("code", "another_number"))
}
