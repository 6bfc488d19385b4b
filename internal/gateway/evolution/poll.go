package evolution

import (
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxOptions bounds what is kept of the options of a poll or the rows of a list.
// WhatsApp allows a tenth of it.
const maxOptions = 120

// readPoll reads a poll, or a vote in one.
func (c *content) readPoll(name string, body wire.Object) bool {
	switch name {
	case "pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3":
		c.text = body.Text("name")
		c.beside.Poll = &gateway.Poll{Name: wire.Sanitize(c.text, maxLineRunes), Options: optionsIn(body)}
	case "pollUpdateMessage":
		votes := votesIn(body)
		c.text, c.target = joined(votes), keyID(body, "pollCreationMessageKey")
		c.beside.Poll = &gateway.Poll{Votes: votes, To: c.target}
	default:
		return false
	}
	c.kind = gateway.TypePoll
	return true
}

func optionsIn(poll wire.Object) []string {
	var options []string
	for option := range objects(poll.Get("options")) {
		if name := word(option, "optionName"); name != "" && len(options) < maxOptions {
			options = append(options, name)
		}
	}
	return options
}

// votesIn returns the options that somebody chose. Only 2.3.7 and later decrypt
// them; who takes a vote back has chosen none.
func votesIn(poll wire.Object) []string {
	var names []string
	for option := range wire.Elements(poll.Object("vote").Get("selectedOptions")) {
		name, _ := wire.Text(option)
		if name = wire.Sanitize(name, maxLineRunes); name != "" && len(names) < maxOptions {
			names = append(names, name)
		}
	}
	return names
}
