package evolution

import (
	"cmp"
	"fmt"
	"math"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// call is a request of the gateway's API that sends a message.
type call struct {
	path string // up to the instance's name
	body any
}

// refusal is why a message can never be sent as it is.
type refusal struct {
	code string
	why  string // a sentence; empty if the code says enough
}

func (r refusal) answer(p wire.Privacy) gateway.Answer {
	return gateway.Answer{Outcome: gateway.Permanent, Code: r.code, Reason: p.Reason(cmp.Or(r.why, explain(r.code)), "")}
}

// incomplete refuses a message for what it does not say.
func incomplete(why string) *refusal { return &refusal{"invalid_content", why} }

// target is what every call but a reaction's says of where a message belongs.
type target struct {
	Number string  `json:"number"`
	Quoted *quoted `json:"quoted,omitempty"`
}

type quoted struct {
	Key struct {
		ID string `json:"id"`
	} `json:"key"`
}

// The bodies of the calls.
type (
	sendText struct {
		target
		Text string `json:"text"`
	}
	sendLocation struct { // the gateway insists on both words
		target
		Latitude  float64 `json:"latitude"`
		Longitude float64 `json:"longitude"`
		Name      string  `json:"name"`
		Address   string  `json:"address"`
	}
	sendContact struct {
		target
		Contacts []contact `json:"contact"`
	}
	contact struct {
		Name         string `json:"fullName"`
		WAID         string `json:"wuid,omitempty"` // the digits; the gateway finds them itself if they are missing
		Phone        string `json:"phoneNumber"`
		Organization string `json:"organization,omitempty"`
		Email        string `json:"email,omitempty"`
	}
	sendReaction struct {
		Key struct {
			RemoteJID string `json:"remoteJid"`
			FromMe    bool   `json:"fromMe"`
			ID        string `json:"id"`
		} `json:"key"`
		Reaction string `json:"reaction"`
	}
	sendPoll struct {
		target
		Name    string   `json:"name"`
		Choices int      `json:"selectableCount"`
		Options []string `json:"values"`
	}
)

// compose says a message in the gateway's words, or why that cannot be done. How
// long a text or how large a file may be is left to WhatsApp.
func compose(m gateway.Outgoing) (*call, *refusal) {
	number, ok := recipient(m.To)
	if !ok {
		return nil, &refusal{code: "invalid_recipient"}
	}
	to := target{Number: number}
	if m.QuotedID != "" {
		to.Quoted = new(quoted)
		to.Quoted.Key.ID = m.QuotedID
	}
	if m.Content == nil {
		m.Content = &gateway.Content{}
	}
	switch m.Type {
	case gateway.TypeText:
		return &call{"/message/sendText/", sendText{to, m.Text}}, nil
	case gateway.TypeImage, gateway.TypeVideo, gateway.TypeAudio, gateway.TypeVoice, gateway.TypeDocument, gateway.TypeSticker:
		return attach(to, m)
	case gateway.TypeLocation:
		return locate(to, m.Content.Location)
	case gateway.TypeContacts:
		return enclose(to, m.Content.Contacts)
	case gateway.TypeReaction:
		return react(m)
	case gateway.TypePoll:
		return ask(to, m.Content.Poll)
	case gateway.TypeInteractive:
		return offer(to, m)
	case gateway.TypeTemplate:
		return nil, &refusal{"content_unsupported", "Templates belong to the Cloud API; a session of WhatsApp Web has none."}
	}
	return nil, &refusal{code: "content_unsupported"}
}

func locate(to target, l *gateway.Location) (*call, *refusal) {
	if l == nil {
		return nil, incomplete("The message has no location.")
	}
	if !(math.Abs(l.Latitude) <= 90 && math.Abs(l.Longitude) <= 180) { // written so that NaN is refused
		return nil, incomplete("The location is not on Earth.")
	}
	degrees := fmt.Sprintf("%g, %g", l.Latitude, l.Longitude)
	return &call{"/message/sendLocation/", sendLocation{
		target: to, Latitude: l.Latitude, Longitude: l.Longitude,
		Name: cmp.Or(l.Name, l.Address, degrees), Address: cmp.Or(l.Address, degrees),
	}}, nil
}

// enclose names every phone of every entry, because the gateway takes one phone
// at a time. What an entry does not say itself, its vCard may.
func enclose(to target, cards []gateway.Card) (*call, *refusal) {
	body := sendContact{target: to}
	for _, c := range cards {
		told := parseCard(c.VCard)
		name := cmp.Or(c.Name, told.Name)
		if len(c.Phones) == 0 {
			c.Phones = told.Phones
		}
		if len(c.Emails) == 0 {
			c.Emails = told.Emails
		}
		if name == "" || len(c.Phones) == 0 {
			return nil, incomplete("A contact has no name or no phone number.")
		}
		for _, phone := range c.Phones {
			entry := contact{Name: name, Phone: phone}
			if digits := digitsIn(phone); len(digits) >= 10 {
				entry.WAID = digits
			}
			if len(c.Emails) > 0 {
				entry.Email = c.Emails[0]
			}
			body.Contacts = append(body.Contacts, entry)
		}
	}
	if len(body.Contacts) == 0 {
		return nil, incomplete("The message has no contacts.")
	}
	return &call{"/message/sendContact/", body}, nil
}

func react(m gateway.Outgoing) (*call, *refusal) {
	r := m.Content.Reaction
	if r == nil || !wire.IsMessageID(r.To) {
		return nil, incomplete("The reaction does not say to which message.")
	}
	var body sendReaction
	body.Key.RemoteJID, _ = canonicalJID(m.To)
	body.Key.ID, body.Key.FromMe, body.Reaction = r.To, r.FromMe, r.Emoji
	return &call{"/message/sendReaction/", body}, nil
}

// What the gateway takes as a poll.
const (
	minPollOptions = 2
	maxPollOptions = 10
)

func ask(to target, p *gateway.Poll) (*call, *refusal) {
	if p == nil || p.Name == "" {
		return nil, incomplete("The poll asks nothing.")
	}
	if len(p.Options) < minPollOptions || len(p.Options) > maxPollOptions {
		return nil, incomplete(fmt.Sprintf("The gateway takes polls of %d to %d options, not %d.", minPollOptions, maxPollOptions, len(p.Options)))
	}
	seen := map[string]bool{"": true}
	for _, option := range p.Options {
		if seen[option] {
			return nil, incomplete("An option of the poll is empty or there twice.")
		}
		seen[option] = true
	}
	return &call{"/message/sendPoll/", sendPoll{target: to, Name: p.Name, Choices: 1, Options: p.Options}}, nil
}

// digitsIn returns the digits of a number as people write it.
func digitsIn(number string) string {
	var digits []byte
	for _, c := range []byte(number) {
		if '0' <= c && c <= '9' {
			digits = append(digits, c)
		}
	}
	return string(digits)
}
