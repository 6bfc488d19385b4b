package cloud

import (
	"cmp"
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// moved reads a system message that tells of somebody's new phone number or user
// id. Whoever it was before is an alias from now on. It returns false when the
// message is about something else.
func (n *number) moved(before person, system wire.Object) bool {
	switch system.Text("type") {
	case "user_changed_number", "user_changed_user_id", "customer_changed_number":
	default:
		return false
	}
	now := personOf(cmp.Or(system.Text("wa_id"), system.Text("new_wa_id")), system.Text("user_id"))
	now.name = before.name
	n.moves = n.introduce(now, before.phone, before.bsuid) || n.moves
	jid, _ := now.jid()
	return jid != ""
}

// renamed reads that somebody's business-scoped user id has changed, which
// happens when they change their phone number.
func (n *number) renamed(_ string, raw json.RawMessage) error {
	update := wire.ObjectOf(raw)
	ids := update.Object("user_id")
	now := personOf(update.Text("wa_id"), ids.Text("current"))
	before := bsuidJID(ids.Text("previous"))
	if ids == nil { // another shape, which resellers describe
		now.bsuid, before = bsuidJID(update.Text("new_user_id")), bsuidJID(update.Text("old_user_id"))
	}
	if now.bsuid == "" || before == "" {
		return invalid("missing_user_id", "A change of a user id does not name both of them.")
	}
	n.moves = n.introduce(now, before) || n.moves
	return nil
}
