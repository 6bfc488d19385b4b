package evolution

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// content is what a message says.
type content struct {
	raw      json.RawMessage // as the gateway gave it, wrappers included
	kind     string          // one of the gateway.Type constants
	text     string          // text, caption, question, emoji or choice
	target   string          // id of the message that it answers or reacts to
	beside   gateway.Content // what is not text
	rest     rest            // what has no words of ours
	copied   gateway.Media   // the file's bytes or their address, if the gateway sends those along
	edited   bool            // it says itself that it has been edited
	protocol wire.Object     // WhatsApp's own business: edits, deletions, timers, keys
}

// rest is what we keep as the gateway gave it: the ad that led to a message, and
// what the gateway heard in a spoken one.
type rest struct {
	Ad         json.RawMessage `json:"externalAdReply,omitempty"`
	Transcript string          `json:"speechToText,omitempty"`
}

// contentOf reads the message member of a record. It never fails: what it does
// not understand is of unknown kind.
func contentOf(raw json.RawMessage) content {
	c := content{raw: raw, kind: gateway.TypeUnknown}
	outside := wire.ObjectOf(raw)
	message := c.unwrap(outside)
	for _, m := range slices.Backward(message) { // the last of equal names counts
		if body := wire.ObjectOf(m.Value); body != nil && c.read(string(m.Name), body) {
			c.note(body)
			c.note(message)
			c.findCopy(outside)
			c.findCopy(message)
			return c
		}
	}
	if text, ok := wire.Text(message.Get("conversation")); ok {
		c.kind, c.text = gateway.TypeText, text
		c.note(message)
		return c
	}
	c.protocol = wire.ObjectOf(message.Get("protocolMessage"))
	return c
}

// read recognises a content by the name of its member. It returns false when the
// name is none of those, and when what should be under it is not there.
func (c *content) read(name string, body wire.Object) bool {
	switch name {
	case "extendedTextMessage":
		c.kind, c.text = gateway.TypeText, body.Text("text")
	case "imageMessage":
		c.readMedia(gateway.TypeImage, body)
	case "videoMessage", "ptvMessage":
		c.readMedia(gateway.TypeVideo, body)
	case "audioMessage":
		kind := gateway.TypeAudio
		if wire.IsTrue(body.Get("ptt")) || wire.IsTrue(body.Get("voice")) {
			kind = gateway.TypeVoice
		}
		c.readMedia(kind, body)
	case "documentMessage":
		c.readMedia(gateway.TypeDocument, body)
	case "stickerMessage":
		c.readMedia(gateway.TypeSticker, body)
	case "locationMessage", "liveLocationMessage":
		return c.readLocation(body)
	case "contactMessage", "contact": // the last one: Cloud channel
		c.readCards(slices.Values([]wire.Object{body}))
	case "contactsArrayMessage":
		return c.readCards(objects(body.Get("contacts")))
	case "reactionMessage":
		return c.readReaction(body)
	case "templateMessage", "highlyStructuredMessage":
		return c.readTemplate(body)
	default:
		return c.readPoll(name, body) || c.readChoice(name, body) || c.readOffer(name, body)
	}
	return true
}

func (c *content) readReaction(body wire.Object) bool {
	to := keyID(body, "key")
	if to == "" {
		return false
	}
	c.kind, c.text, c.target = gateway.TypeReaction, body.Text("text"), to
	c.beside.Reaction = &gateway.Reaction{To: to, Emoji: wire.Sanitize(c.text, wire.MaxNameRunes)}
	return true
}

// readTemplate reads a message that a business has sent from a template of its
// own: the words are found in one of several places, the rest is kept as it came.
func (c *content) readTemplate(body wire.Object) bool {
	filled := body.Object("hydratedTemplate")
	if filled == nil {
		filled = body.Object("hydratedFourRowTemplate")
	}
	c.kind = gateway.TypeTemplate
	c.text = cmp.Or(filled.Text("hydratedContentText"), body.Object("interactiveMessageTemplate").Object("body").Text("text"))
	return true
}

// note takes what stands in the context of a content, or beside it: which message
// it answers, that it was forwarded, and the ad that led to it.
func (c *content) note(beside wire.Object) {
	context := beside.Object("contextInfo")
	c.target = cmp.Or(c.target, validID(context.Text("stanzaId")))
	c.beside.Forwarded = c.beside.Forwarded || wire.IsTrue(context.Get("isForwarded"))
	if ad := context.Object("externalAdReply"); ad.Text("sourceType") == "ad" || ad.Text("ctwaClid") != "" {
		c.rest.Ad, _ = wire.Storable(context.Get("externalAdReply"), isNoise)
	}
}

// unwrap opens the wrappers around a content, at most maxWrappers of them.
func (c *content) unwrap(message wire.Object) wire.Object {
	for range maxWrappers {
		name, inside := wrapped(message)
		if inside == nil {
			return message
		}
		c.edited = c.edited || name == "editedMessage"
		message = inside
	}
	return message
}

// maxWrappers bounds how many wrappers are opened around a content.
const maxWrappers = 5

// wrapped returns what is inside a message's wrapper, and the wrapper's name;
// nothing if it has none.
func wrapped(message wire.Object) (wrapper string, inside wire.Object) {
	for _, m := range slices.Backward(message) {
		switch name := string(m.Name); name {
		case "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
			"documentWithCaptionMessage", "editedMessage", "deviceSentMessage", "associatedChildMessage":
			if inside := wire.ObjectOf(m.Value).Object("message"); inside != nil {
				return name, inside
			}
		}
	}
	return "", nil
}

// objects yields the elements of an array that are objects.
func objects(raw json.RawMessage) func(yield func(wire.Object) bool) {
	return func(yield func(wire.Object) bool) {
		for element := range wire.Elements(raw) {
			if o := wire.ObjectOf(element); o != nil && !yield(o) {
				return
			}
		}
	}
}

// word is a member that was written to be sent back as it is, or to be read: an
// id, a title, an option.
func word(o wire.Object, name string) string { return wire.Sanitize(o.Text(name), maxLineRunes) }

// line is a member that must be on one line: a name, a type.
func line(o wire.Object, name string) string {
	return wire.Sanitize(wire.OneLine(o.Text(name)), maxLineRunes)
}

// maxLineRunes bounds both. WhatsApp allows less of all of them.
const maxLineRunes = 1024

// keyID returns the message id in a key, or "".
func keyID(body wire.Object, key string) string {
	return validID(body.Object(key).Text("id"))
}

func validID(id string) string {
	if !wire.IsMessageID(id) {
		return ""
	}
	return id
}

// joined returns names as a person would list them.
func joined(names []string) string { return strings.Join(names, ", ") }
