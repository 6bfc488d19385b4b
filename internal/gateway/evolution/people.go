package evolution

import (
	"cmp"
	"slices"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxAliases bounds how many addresses one event can give one person.
const maxAliases = 16

// contact reads what the gateway knows of a person. A record without an address
// says nothing.
func (r *reading) contact(record wire.Object) error {
	if jid, alias := addressesOf(record); jid != "" {
		c := r.person(jid)
		c.Name = cmp.Or(nameOf(record, "pushName", jid, alias), c.Name)
		r.introduce(jid, alias)
	}
	return nil
}

// chat reads what the gateway says of a conversation.
func (r *reading) chat(record wire.Object) error {
	if jid, alias := addressesOf(record); jid != "" {
		r.update.Chats = append(r.update.Chats, gateway.Chat{JID: jid, Name: nameOf(record, "name", jid, alias)})
		r.introduce(jid, alias)
	}
	return nil
}

// person returns the event's contact of that address, a new one if it has none.
// The pointer is good until the next call.
func (r *reading) person(jid string) *gateway.Contact {
	i, known := r.people[jid]
	if !known {
		if r.people == nil {
			r.people = map[string]int{}
		}
		i = len(r.update.Contacts)
		r.people[jid] = i
		r.update.Contacts = append(r.update.Contacts, gateway.Contact{JID: jid})
	}
	return &r.update.Contacts[i]
}

// introduce adds that somebody has two addresses. One alone is no news.
func (r *reading) introduce(jid, alias string) {
	if jid == "" || alias == "" || alias == jid {
		return
	}
	if c := r.person(jid); len(c.Aliases) < maxAliases && !slices.Contains(c.Aliases, alias) {
		c.Aliases = append(c.Aliases, alias)
	}
}

// addressesOf returns whom a contact or chat record is about, by the phone number
// if it is told, and the other address. Version 1 calls it id; later ones put the
// id of a database row there, which is no address. Both are empty for nobody.
func addressesOf(record wire.Object) (preferred, other string) {
	jid, ok := canonicalJID(record.Text("remoteJid"))
	if !ok {
		if jid, ok = canonicalJID(record.Text("id")); !ok {
			return "", ""
		}
	}
	for _, name := range []string{"remoteJidAlt", "phoneNumber", "lid"} {
		if alt, ok := canonicalJID(record.Text(name)); ok && areOnePerson(jid, alt) {
			return preferPhone(jid, alt)
		}
	}
	return jid, ""
}

// areOnePerson reports whether two addresses of one record can be one person's: a
// number and a LID.
func areOnePerson(a, b string) bool {
	return isPhone(a) && isLID(b) || isLID(a) && isPhone(b)
}

// nameOf returns a name that somebody chose. Where there is none the gateway
// puts the number itself, which as a name would hide a real one.
func nameOf(record wire.Object, member string, jids ...string) string {
	name := wire.Sanitize(record.Text(member), wire.MaxNameRunes)
	if name == "" || slices.ContainsFunc(jids, func(jid string) bool { return name == user(jid) }) {
		return ""
	}
	return name
}
