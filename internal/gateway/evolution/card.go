package evolution

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Bounds of what is kept of entries of an address book.
const (
	maxCards      = 100
	maxCardValues = 20      // phones or emails of one
	maxCardLines  = 5000    // that are looked at; a picture has thousands
	maxVCardBytes = 8 << 10 // of one
	maxVCards     = 32 << 10
)

// readCards reads entries of an address book; none at all is no content.
func (c *content) readCards(records iter.Seq[wire.Object]) bool {
	room := maxVCards
	for record := range records {
		if len(c.beside.Contacts) == maxCards {
			break
		}
		card := parseCard(record.Text("vcard"))
		card.Name = cmp.Or(line(record, "displayName"), card.Name)
		if room -= len(card.VCard); room < 0 {
			card.VCard = ""
		}
		c.beside.Contacts = append(c.beside.Contacts, card)
	}
	if len(c.beside.Contacts) == 0 {
		return false
	}
	c.kind = gateway.TypeContacts
	return true
}

// parseCard reads a vCard of any version as far as it is one: the name, the
// phones and the emails in it. Pictures and sounds are left out of what is kept,
// and what is too long or without an end even then is not kept.
func parseCard(text string) gateway.Card {
	var card gateway.Card
	var kept []string
	size, ended := 0, false
	for property := range properties(text) {
		name, parameters, value := split(property)
		switch name {
		case "PHOTO", "LOGO", "SOUND", "KEY":
			continue
		case "FN":
			card.Name = cmp.Or(card.Name, clean(value))
		case "TEL":
			card.Phones = addTo(card.Phones, phoneOf(parameters, value))
		case "EMAIL":
			card.Emails = addTo(card.Emails, clean(value))
		}
		size += len(property) + 1
		ended = name == "END"
		kept = append(kept, strings.ReplaceAll(property, "\x00", ""))
	}
	if ended && size <= maxVCardBytes {
		card.VCard = strings.Join(kept, "\n")
	}
	return card
}

// properties yields the lines of a vCard. A line that begins with white space
// goes on with the one before.
func properties(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		property, lines := "", 0
		for line := range strings.Lines(text) {
			if lines++; lines > maxCardLines {
				break
			}
			line = strings.TrimRight(line, "\r\n")
			if more := strings.TrimLeft(line, " \t"); more != line {
				if len(property) < maxVCardBytes {
					property += more
				}
				continue
			}
			if property != "" && !yield(property) {
				return
			}
			property = line
		}
		if property != "" {
			yield(property)
		}
	}
}

// split takes a property apart: "item1.TEL;type=CELL;waid=521…:+52 1 …".
func split(property string) (name string, parameters []string, value string) {
	before, value, _ := strings.Cut(property, ":")
	parameters = strings.Split(before, ";")
	name = parameters[0]
	if _, inGroup, ok := strings.Cut(name, "."); ok {
		name = inGroup
	}
	return strings.ToUpper(strings.TrimSpace(name)), parameters[1:], value
}

// phoneOf returns a number in E.164 where WhatsApp knows it, or else as it was
// typed into the address book.
func phoneOf(parameters []string, value string) string {
	for _, p := range parameters {
		name, digits, _ := strings.Cut(p, "=")
		if strings.EqualFold(name, "waid") && wire.IsDigits(digits) && len(digits) <= 20 {
			return "+" + digits
		}
	}
	return clean(strings.TrimPrefix(value, "tel:"))
}

// clean takes the escapes out of a value and makes it a line.
func clean(value string) string {
	value = strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(value)
	return wire.Sanitize(wire.OneLine(value), wire.MaxNameRunes)
}

// addTo appends a value that is one and not there yet.
func addTo(values []string, value string) []string {
	if value == "" || len(values) == maxCardValues || slices.Contains(values, value) {
		return values
	}
	return append(values, value)
}
