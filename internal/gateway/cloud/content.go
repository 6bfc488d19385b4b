package cloud

import (
	"cmp"
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// content is what a message says.
type content struct {
	raw    json.RawMessage // the message as Meta gave it
	record wire.Object     // the same, taken apart
	kind   string          // one of the gateway.Type constants
	text   string          // text, caption, emoji or choice; storable
	target string          // id of the message that it answers or reacts to
	beside gateway.Content // what is not text
}

// contentOf reads a message as the type that it says it is of. A type that we
// have no words for is kept as it came; a message without what its type promises
// is an error.
func contentOf(raw json.RawMessage, record wire.Object) (content, error) {
	context := record.Object("context")
	c := content{raw: raw, record: record, kind: gateway.TypeUnknown, target: validID(context.Text("id"))}
	c.beside.Forwarded = wire.IsTrue(context.Get("forwarded")) || wire.IsTrue(context.Get("frequently_forwarded"))
	kind := record.Text("type")
	if ok := c.read(kind, record.Get(kind)); !ok && !wire.IsArray(record.Get("errors")) {
		return content{}, invalid("missing_content", "A message lacks what its type promises.")
	}
	c.text = wire.Sanitize(c.text, wire.MaxTextRunes)
	return c, nil
}

// read reads the member that has the name of the type. It returns false when a
// known type is not what it should be.
func (c *content) read(kind string, raw json.RawMessage) bool {
	body := wire.ObjectOf(raw)
	switch kind {
	case "text":
		text, ok := wire.Text(body.Get("body"))
		c.kind, c.text = gateway.TypeText, text
		return c.keepIf(ok)
	case "image", "video", "audio", "document", "sticker":
		return c.keepIf(c.readMedia(kind, body))
	case "location":
		return c.keepIf(c.readLocation(body))
	case "contacts":
		return c.keepIf(c.readCards(raw))
	case "reaction":
		to := validID(body.Text("message_id"))
		c.kind, c.text, c.target = gateway.TypeReaction, body.Text("emoji"), to
		c.beside.Reaction = &gateway.Reaction{To: to, Emoji: wire.Sanitize(c.text, wire.MaxNameRunes)}
		return c.keepIf(to != "")
	case "interactive":
		return c.readChoice(body)
	case "button": // of a template
		c.choose("button", body.Text("payload"), body.Text("text"))
		return c.keepIf(body != nil)
	case "order":
		c.text = body.Text("text")
	case "system":
		c.text = body.Text("body")
	}
	return true
}

// keepIf keeps what has been read only if it turned out to be what the type
// promises, and hands the verdict on.
func (c *content) keepIf(ok bool) bool {
	if !ok {
		c.kind, c.text, c.beside = gateway.TypeUnknown, "", gateway.Content{Forwarded: c.beside.Forwarded}
	}
	return ok
}

// readChoice reads what somebody chose of buttons or a list, or filled in. Kinds
// of answers that we do not know are kept as they came.
func (c *content) readChoice(body wire.Object) bool {
	kind := body.Text("type")
	answer := body.Object(kind)
	switch kind {
	case "button_reply":
		c.choose("button", answer.Text("id"), answer.Text("title"))
	case "list_reply":
		c.choose("list", answer.Text("id"), answer.Text("title"))
		c.beside.Interactive.Description = wire.Sanitize(answer.Text("description"), wire.MaxNameRunes)
	case "nfm_reply":
		c.choose("flow", "", answer.Text("body"))
		c.beside.Interactive.Data = flowData(answer.Text("response_json"))
	default:
		return body != nil
	}
	return c.keepIf(answer != nil)
}

// choose makes the content a choice. One without a title is told by its id.
func (c *content) choose(kind, id, title string) {
	c.kind, c.text = gateway.TypeInteractive, cmp.Or(title, id)
	c.beside.Interactive = &gateway.Interactive{
		Kind: kind, ID: wire.Sanitize(id, maxChoiceRunes), Title: wire.Sanitize(title, maxChoiceRunes),
	}
}

// maxChoiceRunes bounds the id and title of a choice. Meta allows 256; the
// payload of a template's button may be longer.
const maxChoiceRunes = 1024

// flowData returns what a flow was filled in with. Meta sends the JSON as a text;
// what is no JSON stays one.
func flowData(text string) json.RawMessage {
	if raw := json.RawMessage(text); json.Valid(raw) {
		if data, ok := wire.Storable(raw, nil); ok {
			return data
		}
	}
	data, err := json.Marshal(wire.Sanitize(text, wire.MaxTextRunes))
	if err != nil || text == "" { // a string always marshals
		return nil
	}
	return data
}

// stored returns what is beside the text as JSON that jsonb takes, or nil if
// there is nothing. What is too large is cut down to its type; if even that is
// unknown there is nothing left to store, and it fails.
func (c content) stored() (json.RawMessage, error) {
	raw, ok := c.remainder()
	c.beside.Raw = raw
	out, err := json.Marshal(c.beside)
	small := ok && err == nil && len(out) <= wire.MaxContentBytes
	switch {
	case !small && c.kind == gateway.TypeUnknown:
		return nil, invalid("content_too_large", "A message of unknown type is too large or too deeply nested.")
	case !small:
		return json.RawMessage(`{"raw":{"truncated":true,"type":"` + c.kind + `"}}`), nil
	case string(out) == "{}":
		return nil, nil
	}
	return out, nil
}

// remainder returns what we have no words for, as Meta gave it: a whole message of
// unknown type, or of others the ad or product that somebody wrote about. ok is
// false when a message of unknown type cannot be stored.
func (c content) remainder() (_ json.RawMessage, ok bool) {
	if c.kind == gateway.TypeUnknown {
		return wire.Storable(c.raw, nil)
	}
	var rest struct {
		Referral json.RawMessage `json:"referral,omitempty"`
		Product  json.RawMessage `json:"referred_product,omitempty"`
	}
	if referral := c.record.Get("referral"); !wire.IsNull(referral) {
		rest.Referral, _ = wire.Storable(referral, nil)
	}
	if product := c.record.Object("context").Get("referred_product"); !wire.IsNull(product) {
		rest.Product, _ = wire.Storable(product, nil)
	}
	if rest.Referral == nil && rest.Product == nil {
		return nil, true
	}
	raw, err := json.Marshal(rest)
	return raw, err == nil
}

func validID(id string) string {
	if !wire.IsMessageID(id) {
		return ""
	}
	return id
}
