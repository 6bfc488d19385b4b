package evolution

import (
	"cmp"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// readOffer reads buttons or a list to choose from.
func (c *content) readOffer(name string, body wire.Object) bool {
	var i gateway.Interactive
	switch name {
	case "buttonsMessage":
		i = gateway.Interactive{
			Kind: "buttons", Header: word(body, "text"), Body: prose(body, "contentText"), Footer: prose(body, "footerText"),
		}
		for b := range objects(body.Get("buttons")) {
			i.Buttons = addButton(i.Buttons, word(b, "buttonId"), word(b.Object("buttonText"), "displayText"))
		}
	case "listMessage":
		i = gateway.Interactive{
			Kind: "list", Header: word(body, "title"), Body: prose(body, "description"), Footer: prose(body, "footerText"),
			Button: word(body, "buttonText"), Sections: sectionsIn(body, "rowId"),
		}
		if i.Body == "" {
			i.Header, i.Body = "", prose(body, "title")
		}
	case "interactiveMessage":
		i = nativeOffer(body)
	default:
		return false
	}
	c.kind, c.text, c.beside.Interactive = gateway.TypeInteractive, i.Body, &i
	return true
}

// nativeOffer reads what WhatsApp calls a native flow: every button brings its
// parameters along as a text, and a list is a button too.
func nativeOffer(body wire.Object) gateway.Interactive {
	flow := body.Object("nativeFlowMessage")
	i := gateway.Interactive{
		Kind: "buttons", Header: word(body.Object("header"), "title"),
		Body: prose(body.Object("body"), "text"), Footer: prose(body.Object("footer"), "text"),
	}
	if parsed(flow.Text("messageParamsJson")).Text("from") == "api" {
		i.Header, i.Body = titled(i.Header, i.Body)
	}
	for b := range objects(flow.Get("buttons")) {
		params := parsed(b.Text("buttonParamsJson"))
		if b.Text("name") == "single_select" {
			i.Kind, i.Button, i.Sections = "list", word(params, "title"), sectionsIn(params, "id")
			continue
		}
		i.Buttons = addButton(i.Buttons, word(params, "id"), word(params, "display_text"))
	}
	return i
}

// titled takes a title out of a body: of what is sent through its API, the gateway
// writes the title there in asterisks, and an empty line behind it.
func titled(header, body string) (string, string) {
	inside, isTitled := strings.CutPrefix(body, "*")
	title, rest, hasRest := strings.Cut(inside, "*\n\n")
	switch {
	case !isTitled || header != "":
		return header, body
	case hasRest:
		return title, rest
	}
	if title, ok := strings.CutSuffix(inside, "*"); ok {
		return "", title
	}
	return header, body
}

func addButton(buttons []gateway.Button, id, title string) []gateway.Button {
	if cmp.Or(id, title) == "" || len(buttons) == maxOptions {
		return buttons
	}
	return append(buttons, gateway.Button{ID: id, Title: title})
}

// sectionsIn reads the parts of a list. Sections and rows together are bounded.
func sectionsIn(list wire.Object, id string) []gateway.Section {
	var sections []gateway.Section
	room := maxOptions
	for s := range objects(list.Get("sections")) {
		section := gateway.Section{Title: word(s, "title"), Rows: []gateway.Row{}}
		for r := range objects(s.Get("rows")) {
			if room--; room < 0 {
				return sections
			}
			section.Rows = append(section.Rows, gateway.Row{ID: word(r, id), Title: word(r, "title"), Description: word(r, "description")})
		}
		if room--; room < 0 {
			return sections
		}
		sections = append(sections, section)
	}
	return sections
}

// prose is a member of one or more lines.
func prose(o wire.Object, name string) string {
	return wire.Sanitize(o.Text(name), maxProseRunes)
}

// maxProseRunes bounds a body or footer. WhatsApp allows 4096 in the longest.
const maxProseRunes = 8192
