package evolution

import (
	"cmp"
	"encoding/json"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// readChoice reads what somebody chose of buttons or a list, or filled in.
func (c *content) readChoice(name string, body wire.Object) bool {
	switch name {
	case "buttonsResponseMessage":
		c.choose(gateway.Interactive{Kind: "button", ID: word(body, "selectedButtonId"), Title: word(body, "selectedDisplayText")})
	case "templateButtonReplyMessage":
		c.choose(gateway.Interactive{Kind: "button", ID: word(body, "selectedId"), Title: word(body, "selectedDisplayText")})
	case "listResponseMessage":
		c.choose(gateway.Interactive{
			Kind: "list", ID: word(body.Object("singleSelectReply"), "selectedRowId"),
			Title: word(body, "title"), Description: word(body, "description"),
		})
	case "interactiveResponseMessage":
		c.readFlow(body)
	default:
		return false
	}
	return true
}

// choose makes the content a choice. One without a title is told by its id.
func (c *content) choose(i gateway.Interactive) {
	c.kind, c.text, c.beside.Interactive = gateway.TypeInteractive, cmp.Or(i.Title, i.ID), &i
}

// readFlow reads what a native flow answers: a button, a row, or a whole form.
func (c *content) readFlow(body wire.Object) {
	flow := body.Object("nativeFlowResponseMessage")
	said := flow.Text("paramsJson")
	params := parsed(said)
	choice := gateway.Interactive{
		ID:          word(params, "id"),
		Title:       cmp.Or(word(params, "display_text"), word(params, "title"), word(body.Object("body"), "text")),
		Description: word(params, "description"),
	}
	switch flow.Text("name") {
	case "quick_reply":
		choice.Kind = "button"
	case "single_select", "menu_options":
		choice.Kind = "list"
	default:
		choice.Kind, choice.Data = "flow", flowData(said)
	}
	c.choose(choice)
}

// parsed takes an object apart that comes as a text; what is no JSON is none.
func parsed(text string) wire.Object {
	if raw := json.RawMessage(text); json.Valid(raw) {
		return wire.ObjectOf(raw)
	}
	return nil
}

// flowData returns what a flow was filled in with. It comes as a text; what is no
// JSON stays one.
func flowData(text string) json.RawMessage {
	if raw := json.RawMessage(text); json.Valid(raw) {
		if data, ok := wire.Storable(raw, isNoise); ok {
			return data
		}
	}
	data, err := json.Marshal(wire.Sanitize(text, wire.MaxTextRunes))
	if err != nil || text == "" { // a string always marshals
		return nil
	}
	return data
}
