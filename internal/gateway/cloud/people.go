package cloud

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxAliases bounds how many addresses one body can give one person.
const maxAliases = 16

// person is somebody as Meta knows them: by a phone number, by a business-scoped
// user id, or by both. Who has a username may hide the number.
type person struct {
	phone string // JID; empty if not told
	bsuid string // JID; empty if not told
	name  string // may be empty
}

// personOf reads two ids of one person; any of them may be missing.
func personOf(phone, bsuid string) person {
	return person{phone: phoneJID(phone), bsuid: bsuidJID(bsuid)}
}

// jid returns the person's address, the phone number's when it is known, and the
// other one. Both are empty for nobody.
func (p person) jid() (preferred, other string) {
	if p.phone == "" {
		return p.bsuid, ""
	}
	return p.phone, p.bsuid
}

// people is whom a change introduces, by each of their JIDs.
type people map[string]person

// complete adds to what is known of somebody. Contacts are matched by their ids
// alone: their order says nothing about whose a message is.
func (p people) complete(who person) person {
	known, ok := p[who.phone]
	if !ok {
		known = p[who.bsuid]
	}
	return person{
		phone: cmp.Or(who.phone, known.phone),
		bsuid: cmp.Or(who.bsuid, known.bsuid),
		name:  cmp.Or(who.name, known.name),
	}
}

// meet reads the contacts of a change. They introduce whom its messages and
// statuses are about, so one that cannot be used costs a name and nothing else.
func (n *number) meet(contacts json.RawMessage) {
	n.people = people{}
	for raw := range wire.Elements(contacts) {
		contact := wire.ObjectOf(raw)
		who := personOf(contact.Text("wa_id"), contact.Text("user_id"))
		who.name = nameOf(contact.Object("profile").Text("name"), who)
		for _, jid := range []string{who.phone, who.bsuid} {
			if jid != "" {
				n.people[jid] = who
			}
		}
		n.introduce(who)
	}
}

// nameOf returns the name somebody chose, or "" if it is only their number.
func nameOf(name string, who person) string {
	name = wire.Sanitize(name, wire.MaxNameRunes)
	if name == user(who.phone) || name == user(who.bsuid) {
		return ""
	}
	return name
}

// introduce adds a contact, or what is new about one, to the update. Somebody of
// whom nothing but an address is known is no news; then it returns false.
func (n *number) introduce(who person, aliases ...string) bool {
	jid, other := who.jid()
	aliases = slices.DeleteFunc(append([]string{other}, aliases...), func(alias string) bool {
		return alias == "" || alias == jid
	})
	if jid == "" || who.name == "" && len(aliases) == 0 {
		return false
	}
	at, known := n.contacts[key{n.account, jid}]
	if !known {
		if n.contacts == nil {
			n.contacts = map[key]int{}
		}
		at = len(n.update.Contacts)
		n.contacts[key{n.account, jid}] = at
		n.update.Contacts = append(n.update.Contacts, gateway.Contact{Account: n.account, JID: jid})
	}
	c := &n.update.Contacts[at]
	c.Name = cmp.Or(who.name, c.Name)
	for _, alias := range aliases {
		if len(c.Aliases) < maxAliases && !slices.Contains(c.Aliases, alias) {
			c.Aliases = append(c.Aliases, alias)
		}
	}
	return true
}
