package cloud

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

const (
	maxCards      = 100
	maxCardValues = 20    // phones or emails of one
	maxVCardRunes = 8_192 // a vCard may hold a picture
)

// readMedia reads a file. Its URL is left out: it lives for minutes, and the id
// gives another one for as long as Meta keeps the file.
func (c *content) readMedia(kind string, body wire.Object) bool {
	c.kind, c.text = kind, body.Text("caption") // Meta's names of these types are ours
	if kind == "audio" && wire.IsTrue(body.Get("voice")) {
		c.kind = gateway.TypeVoice
	}
	m := &gateway.Media{
		Kind:     c.kind,
		MIMEType: wire.Sanitize(wire.OneLine(body.Text("mime_type")), wire.MaxNameRunes),
		FileName: wire.Sanitize(wire.OneLine(body.Text("filename")), wire.MaxNameRunes),
		SHA256:   wire.Sanitize(wire.OneLine(body.Text("sha256")), wire.MaxNameRunes),
	}
	if id := body.Text("id"); isGraphID(id) {
		m.GatewayID = id
	}
	c.beside.Media = m
	return body != nil
}

// file returns what can be fetched. The first report of an old message has no id.
func (c content) file() *gateway.Media {
	if m := c.beside.Media; m != nil && m.GatewayID != "" {
		return m
	}
	return nil
}

// readLocation reads a place. One without credible degrees is none.
func (c *content) readLocation(body wire.Object) bool {
	latitude, okLatitude := degrees(body.Get("latitude"), 90)
	longitude, okLongitude := degrees(body.Get("longitude"), 180)
	c.kind = gateway.TypeLocation
	c.beside.Location = &gateway.Location{
		Latitude: latitude, Longitude: longitude,
		Name:    wire.Sanitize(body.Text("name"), maxChoiceRunes),
		Address: wire.Sanitize(body.Text("address"), maxChoiceRunes),
	}
	return okLatitude && okLongitude
}

// degrees reads an angle that is a number or a decimal string.
func degrees(raw json.RawMessage, most float64) (float64, bool) {
	text, ok := wire.Text(raw)
	if !ok {
		text = string(raw)
	}
	angle, err := strconv.ParseFloat(text, 64)
	return angle, err == nil && math.Abs(angle) <= most
}

// readCards reads entries of an address book.
func (c *content) readCards(raw json.RawMessage) bool {
	c.kind = gateway.TypeContacts
	for element := range wire.Elements(raw) {
		if len(c.beside.Contacts) == maxCards {
			break
		}
		if card := wire.ObjectOf(element); card != nil {
			c.beside.Contacts = append(c.beside.Contacts, cardOf(card))
		}
	}
	return len(c.beside.Contacts) > 0
}

func cardOf(record wire.Object) gateway.Card {
	name := record.Object("name")
	full := cmp.Or(name.Text("formatted_name"), strings.TrimSpace(name.Text("first_name")+" "+name.Text("last_name")))
	card := gateway.Card{
		Name:  wire.Sanitize(full, wire.MaxNameRunes),
		VCard: wire.Sanitize(record.Text("vcard"), maxVCardRunes),
	}
	for element := range wire.Elements(record.Get("phones")) {
		if phone := phoneOf(wire.ObjectOf(element)); phone != "" && len(card.Phones) < maxCardValues {
			card.Phones = append(card.Phones, phone)
		}
	}
	for element := range wire.Elements(record.Get("emails")) {
		email := wire.Sanitize(wire.ObjectOf(element).Text("email"), wire.MaxNameRunes)
		if email != "" && len(card.Emails) < maxCardValues {
			card.Emails = append(card.Emails, email)
		}
	}
	return card
}

// phoneOf returns a number in E.164 where WhatsApp knows it, or else as it was
// typed into the address book.
func phoneOf(record wire.Object) string {
	if digits := record.Text("wa_id"); phoneJID(digits) != "" {
		return "+" + strings.TrimPrefix(digits, "+")
	}
	return wire.Sanitize(record.Text("phone"), wire.MaxNameRunes)
}
