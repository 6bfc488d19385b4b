package cloud

import (
	"encoding/json"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// product is what every request of the Cloud API says that it is about.
const product = "whatsapp"

// outgoing is the body of POST /{phone_number_id}/messages. Of the contents, the
// one that the type names is set.
type outgoing struct {
	Product       string  `json:"messaging_product"`
	RecipientType string  `json:"recipient_type"`
	To            string  `json:"to,omitempty"`        // a phone's digits, or a group's id
	Recipient     string  `json:"recipient,omitempty"` // a business-scoped user id, instead of to
	Type          string  `json:"type"`
	Context       *quoted `json:"context,omitempty"`
	Ours          string  `json:"biz_opaque_callback_data,omitempty"` // statuses repeat it

	Text        *text           `json:"text,omitempty"`
	Image       *file           `json:"image,omitempty"`
	Video       *file           `json:"video,omitempty"`
	Audio       *file           `json:"audio,omitempty"`
	Document    *file           `json:"document,omitempty"`
	Sticker     *file           `json:"sticker,omitempty"`
	Location    *place          `json:"location,omitempty"`
	Contacts    []card          `json:"contacts,omitempty"`
	Reaction    *reaction       `json:"reaction,omitempty"`
	Interactive *interactive    `json:"interactive,omitempty"`
	Template    json.RawMessage `json:"template,omitempty"`
}

type quoted struct {
	MessageID string `json:"message_id"`
}

type text struct {
	Body string `json:"body"`
}

type place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

type reaction struct {
	MessageID string `json:"message_id"`
	Emoji     string `json:"emoji"` // empty takes an earlier one back
}

// compose says a message in the words of the Cloud API, or why that cannot be
// done. How long a text or how large a file may be is left to Meta, which changes
// it now and then and says so clearly.
func compose(m gateway.Outgoing) (*outgoing, *refusal) {
	o := &outgoing{Product: product, Type: m.Type, Ours: m.ID}
	if !o.address(m.To) {
		return nil, refuse(gateway.Permanent, "invalid_recipient")
	}
	if m.QuotedID != "" && m.Type != gateway.TypeReaction {
		o.Context = &quoted{MessageID: m.QuotedID}
	}
	if m.Content == nil {
		m.Content = &gateway.Content{}
	}
	if refused := o.fill(m); refused != nil {
		return nil, refused
	}
	return o, nil
}

// address fills in whom the message is for.
func (o *outgoing) address(jid string) bool {
	name, server, _ := strings.Cut(jid, "@")
	o.RecipientType = "individual"
	switch "@" + server {
	case serverPhone:
		o.To = name
		return phoneJID(name) == jid
	case serverBSUID:
		o.Recipient = name
		return isUser(name)
	case serverGroup:
		o.RecipientType, o.To = "group", name
		return isUser(name)
	}
	return false
}

// fill fills in what the message says.
func (o *outgoing) fill(m gateway.Outgoing) *refusal {
	switch m.Type {
	case gateway.TypeText:
		if m.Text == "" {
			return incomplete("The message has no text.")
		}
		o.Text = &text{Body: m.Text}
	case gateway.TypeImage, gateway.TypeVideo, gateway.TypeAudio, gateway.TypeVoice, gateway.TypeDocument, gateway.TypeSticker:
		return o.attach(m)
	case gateway.TypeLocation:
		l := m.Content.Location
		if l == nil {
			return incomplete("The message has no location.")
		}
		o.Location = &place{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address}
	case gateway.TypeContacts:
		return o.enclose(m.Content.Contacts)
	case gateway.TypeReaction:
		r := m.Content.Reaction
		if r == nil || !wire.IsMessageID(r.To) {
			return incomplete("The reaction does not say to which message.")
		}
		o.Reaction = &reaction{MessageID: r.To, Emoji: r.Emoji}
	case gateway.TypeInteractive:
		return o.offer(m.Content.Interactive, m.Text)
	case gateway.TypeTemplate:
		if !json.Valid(m.Content.Template) || wire.ObjectOf(m.Content.Template) == nil {
			return incomplete("The template is not a JSON object.")
		}
		o.Template = m.Content.Template
	default:
		return refuse(gateway.Permanent, "content_unsupported")
	}
	return nil
}

// incomplete refuses a message for what it does not say.
func incomplete(why string) *refusal {
	return &refusal{outcome: gateway.Permanent, code: "invalid_content", why: why}
}

// privateTexts returns what people wrote in a message, which no reason may repeat.
func privateTexts(m gateway.Outgoing) []string {
	texts := []string{m.Text}
	c := m.Content
	if c == nil {
		return texts
	}
	if f := c.Media; f != nil {
		texts = append(texts, f.URL, f.Caption, f.FileName)
	}
	if l := c.Location; l != nil {
		texts = append(texts, l.Name, l.Address)
	}
	for _, card := range c.Contacts {
		texts = append(append(texts, card.Name), card.Emails...)
	}
	if i := c.Interactive; i != nil {
		texts = append(texts, i.Body, i.Footer, i.Header)
	}
	if json.Valid(c.Template) {
		components := wire.ObjectOf(c.Template).Get("components")
		texts = appendTexts(texts, components)
	}
	return texts
}

// appendTexts appends every value of the name "text" in valid JSON, at any depth:
// what a template is filled in with.
func appendTexts(texts []string, raw json.RawMessage) []string {
	for s := (wire.Scanner{Src: raw}); s.Pos < len(raw); {
		if s.Peek() != '"' {
			s.Pos++
			continue
		}
		name := s.Str()
		if s.Space() != ':' || string(name) != `"text"` {
			continue
		}
		s.Pos++ // the colon
		if s.Space() == '"' {
			value, _ := wire.Text(s.Str())
			texts = append(texts, value)
		}
	}
	return texts
}
