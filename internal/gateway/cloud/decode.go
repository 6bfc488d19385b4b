package cloud

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxUnusable bounds how many reasons one body can give.
const maxUnusable = 100

// Decode implements gateway.Decoder. Everything that can be used counts; what
// cannot is named in Unusable. Only when nothing at all can be used, Decode fails
// with the first thing that is wrong. The event is not needed: the body says
// itself what each of its changes is about.
func (Decoder) Decode(_ string, body []byte) (gateway.Update, error) {
	top, err := open(body)
	if err != nil {
		return gateway.Update{}, err
	}
	var r reading
	r.each("entry", top.Get("entry"), func(at string, raw json.RawMessage) error {
		if !r.each(at+".changes", wire.ObjectOf(raw).Get("changes"), r.change) {
			return invalid("missing_changes", "An entry has no list of changes.")
		}
		return nil
	})
	return r.result()
}

// reading is what has been understood of one body so far.
type reading struct {
	update   gateway.Update
	changes  int   // how many there were, known or not
	refused  error // the first thing that cannot be used
	moves    bool  // somebody has another address now, and which is known
	skipped  int   // things that cannot be used, beyond maxUnusable
	messages map[key]bool
	contacts map[key]int // index in update.Contacts
}

// key names something within one of our numbers.
type key struct{ account, id string }

// each reads the elements of a list, each of which has its place in the body,
// such as "entry[0].changes[2]". An element that cannot be used is noted and
// skipped. It returns false when raw is no list.
func (r *reading) each(list string, raw json.RawMessage, read func(at string, raw json.RawMessage) error) bool {
	n := 0
	for element := range wire.Elements(raw) {
		at := list + "[" + strconv.Itoa(n) + "]"
		n++
		if err := read(at, element); err != nil {
			r.refuse(at, err)
		}
	}
	return wire.IsArray(raw)
}

// refuse notes why something cannot be used.
func (r *reading) refuse(at string, err error) {
	if r.refused == nil {
		r.refused = err
	}
	if len(r.update.Unusable) == maxUnusable {
		r.skipped++
		return
	}
	r.update.Unusable = append(r.update.Unusable, at+": "+fault.Of(err).Detail)
}

// result is the update, or the reason why there is none.
func (r *reading) result() (gateway.Update, error) {
	if r.changes == 0 && r.refused == nil {
		return gateway.Update{}, invalid("missing_changes", "The body tells of no change.")
	}
	u := r.update
	// Contacts accompany what the body is about. Alone they are not worth losing
	// sight of what went wrong, unless they are what it is about.
	said := len(u.Messages)+len(u.Statuses)+len(u.Edits)+len(u.Deletions) > 0 || r.moves
	if !said && r.refused != nil {
		return gateway.Update{}, r.refused
	}
	u.Handled = said || len(u.Contacts) > 0
	if r.skipped > 0 {
		u.Unusable = append(u.Unusable, fmt.Sprintf("And %d more.", r.skipped))
	}
	return u, nil
}

// change reads one change of one of our numbers.
func (r *reading) change(at string, raw json.RawMessage) error {
	r.changes++
	record := wire.ObjectOf(raw)
	switch field := record.Text("field"); field {
	case "messages", "smb_message_echoes", "history", "user_id_update":
	default:
		if isIgnored(field) {
			return nil
		}
		return invalid("unknown_event", "The Cloud API is not known to send this field.")
	}
	value := record.Object("value")
	n, err := numberOf(value)
	if err != nil {
		return err
	}
	n.reading, n.history = r, record.Text("field") == "history"
	return n.read(at, value)
}

// number is one of our numbers, and what a change tells of it.
type number struct {
	*reading
	account string // its phone_number_id
	own     string // its JID; empty if not told
	people  people // whom the change introduces
	history bool   // the change is about old messages
}

// numberOf reads which number a change is about.
func numberOf(value wire.Object) (*number, error) {
	if value == nil {
		return nil, invalid("malformed_data", "A change has no value.")
	}
	metadata := value.Object("metadata")
	account := metadata.Text("phone_number_id")
	if !isGraphID(account) {
		return nil, invalid("missing_account", "A change does not say which phone_number_id it is about.")
	}
	return &number{account: account, own: phoneJID(digitsIn(metadata.Text("display_phone_number")))}, nil
}

// read reads every list a value can have. Which of them it has depends on the
// field, and a field may gain another one; each means the same everywhere.
func (n *number) read(at string, value wire.Object) error {
	n.meet(value.Get("contacts"))
	lists := []struct {
		name string
		read func(at string, raw json.RawMessage) error
	}{
		{"messages", n.received},
		{"message_echoes", n.echoed},
		{"history", n.chunk},
		{"statuses", n.status},
		{"user_id_update", n.renamed},
		{"errors", n.reported},
	}
	says := false
	for _, list := range lists {
		raw := value.Get(list.name)
		if wire.IsNull(raw) {
			continue
		}
		says = true
		if place := at + ".value." + list.name; !n.each(place, raw, list.read) {
			n.refuse(place, invalid("malformed_data", "What should be a list is none."))
		}
	}
	if !says {
		return invalid("malformed_data", "A change says nothing that is known.")
	}
	return nil
}

// reported reads an error that belongs to no message: Meta tells of it, and
// nobody but a person can do anything about it.
func (n *number) reported(_ string, raw json.RawMessage) error {
	e := wire.ObjectOf(raw)
	code, ok := wire.Number(e.Get("code"))
	if !ok {
		return invalid("malformed_data", "The Cloud API reports an error without a code.")
	}
	return invalid(fmt.Sprintf("graph_%d", code), fmt.Sprintf("The Cloud API reports error %d: %s", code, reasonOf(e)))
}
