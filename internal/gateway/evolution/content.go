package evolution

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// maxWrappers bounds how many wrappers are opened around a content.
const maxWrappers = 5

// content is what a message says.
type content struct {
	raw        json.RawMessage // as the gateway gave it, wrappers included
	kind       string          // one of the gateway.Type constants
	text       string          // text, caption, question, emoji or choice
	target     string          // id of the message that it answers or reacts to
	isPlain    bool            // the text is all there is
	isProtocol bool            // WhatsApp's own business: edits, deletions, timers, keys
}

// contentOf reads the message member of a record. It never fails: what it does
// not understand is of unknown kind.
func contentOf(raw json.RawMessage) content {
	c := content{raw: raw, kind: gateway.TypeUnknown}
	message := unwrap(wire.ObjectOf(raw))
	for _, m := range slices.Backward(message) { // the last of equal names counts
		if body := wire.ObjectOf(m.Value); body != nil && c.read(string(m.Name), body) {
			c.target = first(c.target, quotedBy(body), quotedBy(message))
			c.isPlain = c.kind == gateway.TypeText && isOnly(message, "extendedTextMessage") && isOnly(body, "text")
			return c
		}
	}
	if text, ok := wire.Text(message.Get("conversation")); ok {
		c.kind, c.text, c.target = gateway.TypeText, text, quotedBy(message)
		c.isPlain = isOnly(message, "conversation")
		return c
	}
	c.isProtocol = wire.ObjectOf(message.Get("protocolMessage")) != nil
	return c
}

// read recognises a content by the name of its member.
func (c *content) read(name string, body wire.Object) bool {
	switch name {
	case "extendedTextMessage":
		c.kind, c.text = gateway.TypeText, body.Text("text")
	case "imageMessage":
		c.kind, c.text = gateway.TypeImage, body.Text("caption")
	case "videoMessage", "ptvMessage":
		c.kind, c.text = gateway.TypeVideo, body.Text("caption")
	case "audioMessage":
		c.kind = gateway.TypeAudio
		if wire.IsTrue(body.Get("ptt")) || wire.IsTrue(body.Get("voice")) {
			c.kind = gateway.TypeVoice
		}
	case "documentMessage":
		c.kind, c.text = gateway.TypeDocument, body.Text("caption")
	case "stickerMessage":
		c.kind = gateway.TypeSticker
	case "locationMessage", "liveLocationMessage":
		c.kind, c.text = gateway.TypeLocation, body.Text("caption")
	case "contactMessage", "contactsArrayMessage", "contact": // the last one: Cloud channel
		c.kind = gateway.TypeContacts
	case "reactionMessage":
		c.kind, c.text, c.target = gateway.TypeReaction, body.Text("text"), keyID(body, "key")
	case "pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3":
		c.kind, c.text = gateway.TypePoll, body.Text("name")
	case "pollUpdateMessage":
		c.kind, c.text, c.target = gateway.TypePoll, votesIn(body), keyID(body, "pollCreationMessageKey")
	case "templateMessage", "highlyStructuredMessage":
		c.kind = gateway.TypeTemplate
	default:
		return c.readInteractive(name, body)
	}
	return true
}

// readInteractive recognises buttons and lists, and what people choose from
// them. A choice without a caption is told by its id.
func (c *content) readInteractive(name string, body wire.Object) bool {
	switch name {
	case "buttonsMessage":
		c.text = body.Text("contentText")
	case "listMessage":
		c.text = first(body.Text("description"), body.Text("title"))
	case "interactiveMessage", "interactiveResponseMessage":
		c.text = wire.ObjectOf(body.Get("body")).Text("text")
	case "buttonsResponseMessage":
		c.text = first(body.Text("selectedDisplayText"), body.Text("selectedButtonId"))
	case "templateButtonReplyMessage":
		c.text = first(body.Text("selectedDisplayText"), body.Text("selectedId"))
	case "listResponseMessage":
		row := wire.ObjectOf(body.Get("singleSelectReply"))
		c.text = first(body.Text("title"), row.Text("selectedRowId"))
	default:
		return false
	}
	c.kind = gateway.TypeInteractive
	return true
}

// votesIn returns the options somebody chose in a poll. Only 2.3.7 and later
// decrypt them.
func votesIn(poll wire.Object) string {
	var names []string
	for option := range wire.Elements(wire.ObjectOf(poll.Get("vote")).Get("selectedOptions")) {
		if name, ok := wire.Text(option); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// unwrap opens the wrappers around a content, at most maxWrappers of them.
func unwrap(message wire.Object) wire.Object {
	for range maxWrappers {
		inside := wrapped(message)
		if inside == nil {
			return message
		}
		message = inside
	}
	return message
}

// wrapped returns what is inside a message's wrapper, or nil if it has none.
func wrapped(message wire.Object) wire.Object {
	for _, m := range slices.Backward(message) {
		switch string(m.Name) {
		case "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
			"documentWithCaptionMessage", "editedMessage", "deviceSentMessage", "associatedChildMessage":
			if inside := wire.ObjectOf(wire.ObjectOf(m.Value).Get("message")); inside != nil {
				return inside
			}
		}
	}
	return nil
}

// isOnly reports whether an object holds nothing but that member and what is
// not content.
func isOnly(o wire.Object, name string) bool {
	for _, m := range o {
		switch string(m.Name) {
		case name, "contextInfo", "messageContextInfo", "senderKeyDistributionMessage":
		default:
			return false
		}
	}
	return true
}

// quotedBy returns the id of the message that a content answers, or "".
func quotedBy(body wire.Object) string {
	return validID(wire.ObjectOf(body.Get("contextInfo")).Text("stanzaId"))
}

// keyID returns the message id in a key, or "".
func keyID(body wire.Object, key string) string {
	return validID(wire.ObjectOf(body.Get(key)).Text("id"))
}

func validID(id string) string {
	if !wire.IsMessageID(id) {
		return ""
	}
	return id
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
