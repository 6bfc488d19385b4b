package evolution

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
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
	message := unwrap(objectOf(raw))
	for _, m := range slices.Backward(message) { // the last of equal names counts
		if body := objectOf(m.value); body != nil && c.read(string(m.name), body) {
			c.target = first(c.target, quotedBy(body), quotedBy(message))
			c.isPlain = c.kind == gateway.TypeText && isOnly(message, "extendedTextMessage") && isOnly(body, "text")
			return c
		}
	}
	if text, ok := textOf(message.get("conversation")); ok {
		c.kind, c.text, c.target = gateway.TypeText, text, quotedBy(message)
		c.isPlain = isOnly(message, "conversation")
		return c
	}
	c.isProtocol = objectOf(message.get("protocolMessage")) != nil
	return c
}

// read recognises a content by the name of its member.
func (c *content) read(name string, body object) bool {
	switch name {
	case "extendedTextMessage":
		c.kind, c.text = gateway.TypeText, body.text("text")
	case "imageMessage":
		c.kind, c.text = gateway.TypeImage, body.text("caption")
	case "videoMessage", "ptvMessage":
		c.kind, c.text = gateway.TypeVideo, body.text("caption")
	case "audioMessage":
		c.kind = gateway.TypeAudio
		if isTrue(body.get("ptt")) || isTrue(body.get("voice")) {
			c.kind = gateway.TypeVoice
		}
	case "documentMessage":
		c.kind, c.text = gateway.TypeDocument, body.text("caption")
	case "stickerMessage":
		c.kind = gateway.TypeSticker
	case "locationMessage", "liveLocationMessage":
		c.kind, c.text = gateway.TypeLocation, body.text("caption")
	case "contactMessage", "contactsArrayMessage", "contact": // the last one: Cloud channel
		c.kind = gateway.TypeContacts
	case "reactionMessage":
		c.kind, c.text, c.target = gateway.TypeReaction, body.text("text"), keyID(body, "key")
	case "pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3":
		c.kind, c.text = gateway.TypePoll, body.text("name")
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
func (c *content) readInteractive(name string, body object) bool {
	switch name {
	case "buttonsMessage":
		c.text = body.text("contentText")
	case "listMessage":
		c.text = first(body.text("description"), body.text("title"))
	case "interactiveMessage", "interactiveResponseMessage":
		c.text = objectOf(body.get("body")).text("text")
	case "buttonsResponseMessage":
		c.text = first(body.text("selectedDisplayText"), body.text("selectedButtonId"))
	case "templateButtonReplyMessage":
		c.text = first(body.text("selectedDisplayText"), body.text("selectedId"))
	case "listResponseMessage":
		row := objectOf(body.get("singleSelectReply"))
		c.text = first(body.text("title"), row.text("selectedRowId"))
	default:
		return false
	}
	c.kind = gateway.TypeInteractive
	return true
}

// votesIn returns the options somebody chose in a poll. Only 2.3.7 and later
// decrypt them.
func votesIn(poll object) string {
	var names []string
	for option := range elements(objectOf(poll.get("vote")).get("selectedOptions")) {
		if name, ok := textOf(option); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// unwrap opens the wrappers around a content, at most maxWrappers of them.
func unwrap(message object) object {
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
func wrapped(message object) object {
	for _, m := range slices.Backward(message) {
		switch string(m.name) {
		case "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
			"documentWithCaptionMessage", "editedMessage", "deviceSentMessage", "associatedChildMessage":
			if inside := objectOf(objectOf(m.value).get("message")); inside != nil {
				return inside
			}
		}
	}
	return nil
}

// isOnly reports whether an object holds nothing but that member and what is
// not content.
func isOnly(o object, name string) bool {
	for _, m := range o {
		switch string(m.name) {
		case name, "contextInfo", "messageContextInfo", "senderKeyDistributionMessage":
		default:
			return false
		}
	}
	return true
}

// quotedBy returns the id of the message that a content answers, or "".
func quotedBy(body object) string {
	return validID(objectOf(body.get("contextInfo")).text("stanzaId"))
}

// keyID returns the message id in a key, or "".
func keyID(body object, key string) string {
	return validID(objectOf(body.get(key)).text("id"))
}

func validID(id string) string {
	if !isMessageID(id) {
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
