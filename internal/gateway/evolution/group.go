package evolution

import (
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxParticipants bounds a group. WhatsApp allows 1024, and more in communities.
const maxParticipants = 10_000

// group reads a group, or what has changed of it. A change of something that we
// do not keep says nothing.
func (r *reading) group(record wire.Object) error {
	jid, ok := groupJID(record)
	if !ok {
		return nil
	}
	owner, alias := r.personIn(record, "owner", "ownerPn", "ownerAlt")
	r.introduce(owner, alias)
	g := gateway.Group{
		JID: jid, Owner: owner, Participants: r.participants(record),
		Name:        wire.Sanitize(wire.OneLine(record.Text("subject")), wire.MaxNameRunes),
		Description: wire.Sanitize(record.Text("desc"), maxProseRunes),
	}
	if g.Name != "" || g.Description != "" || g.Owner != "" || g.Participants != nil {
		r.update.Groups = append(r.update.Groups, g)
	}
	return nil
}

// members reads who joined or left a group, or became an admin or is one no more.
func (r *reading) members(record wire.Object) error {
	jid, ok := groupJID(record)
	if !ok {
		return invalid("invalid_chat", "A group's address is not one.")
	}
	action := record.Text("action")
	switch action {
	case gateway.GroupAdd, gateway.GroupRemove, gateway.GroupPromote, gateway.GroupDemote:
	default: // such as "modify", when somebody's number has changed
		return nil
	}
	g := gateway.Group{JID: jid, Action: action, Participants: r.participants(record)}
	for i := range g.Participants {
		p := &g.Participants[i]
		p.Admin = (p.Admin || action == gateway.GroupPromote) && action != gateway.GroupDemote
	}
	if g.Participants != nil {
		r.update.Groups = append(r.update.Groups, g)
	}
	return nil
}

// participants reads the members in a record: strings, or objects with another
// address, or strings of which participantsData tells the numbers.
func (r *reading) participants(record wire.Object) []gateway.Participant {
	phones := map[string]string{}
	for about := range objects(record.Get("participantsData")) {
		jid, _ := canonicalJID(about.Text("jid"))
		phones[jid], _ = canonicalJID(about.Text("phoneNumber"))
		if name := nameOf(about, "name", jid, phones[jid]); name != "" && jid != "" && len(phones) <= maxParticipants {
			preferred, _ := preferPhone(jid, phones[jid])
			r.person(preferred).Name = name
		}
	}
	var list []gateway.Participant
	for raw := range wire.Elements(record.Get("participants")) {
		if len(list) == maxParticipants {
			break
		}
		if p := r.participant(raw, phones); p.JID != "" {
			list = append(list, p)
		}
	}
	return list
}

func (r *reading) participant(raw json.RawMessage, phones map[string]string) gateway.Participant {
	about := wire.ObjectOf(raw)
	jid, alias := r.personIn(about, "id", "phoneNumber", "jid", "lid")
	if text, ok := wire.Text(raw); ok {
		jid, _ = canonicalJID(text)
	}
	if alt := phones[jid]; alias == "" && areOnePerson(jid, alt) {
		jid, alias = preferPhone(jid, alt)
	}
	r.introduce(jid, alias)
	p := gateway.Participant{JID: jid}
	if alias != "" {
		p.Aliases = []string{alias}
	}
	switch about.Text("admin") {
	case "admin", "superadmin":
		p.Admin = true
	}
	return p
}

// personIn returns who is named by the first of some members that is an address,
// and another address of the same person that one of the others is.
func (r *reading) personIn(record wire.Object, members ...string) (jid, alias string) {
	for _, name := range members {
		other, ok := canonicalJID(record.Text(name))
		switch {
		case !ok:
		case jid == "":
			jid = other
		case areOnePerson(jid, other):
			return preferPhone(jid, other)
		}
	}
	return jid, ""
}

func groupJID(record wire.Object) (string, bool) {
	jid, ok := canonicalJID(record.Text("id"))
	return jid, ok && isGroup(jid)
}
