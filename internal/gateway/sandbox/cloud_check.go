package sandbox

import (
	"strings"
	"unicode/utf8"
)

// Meta's limits to what can be said at once, in characters.
const (
	maxCloudText     = 4096
	maxCloudCaption  = 1024
	maxCloudCallback = 512
	maxButtonTitle   = 20
	maxRowTitle      = 24
)

func (c *cloudCall) checkAddress() *verdict {
	switch {
	case c.To == "" && c.Recipient == "":
		return invalidCall(graphInvalid, "The parameter to is required.")
	case c.jid() == personServer:
		return invalidCall(graphBadValue, "%q is not a phone number.", c.To)
	case len(c.CallbackData) > maxCloudCallback:
		return invalidCall(graphInvalid, "Param biz_opaque_callback_data must be at most %d characters long.", maxCloudCallback)
	case c.Context != nil && c.Context.MessageID == "":
		return invalidCall(graphMissing, "The parameter context.message_id is required.")
	}
	return nil
}

// checkContent checks the member that the type names.
func (s *Server) checkContent(c *cloudCall, n *cloudNumber) *verdict {
	switch c.Type {
	case "text", "":
		return c.checkText()
	case "image", "video", "audio", "document", "sticker":
		return s.checkMedia(c, n)
	case "location":
		return c.checkLocation()
	case "contacts":
		return c.checkContacts()
	case "reaction":
		if c.Reaction == nil || c.Reaction.MessageID == "" {
			return invalidCall(graphMissing, "The parameter reaction.message_id is required.")
		}
	case "interactive":
		return c.checkInteractive()
	case "template":
		if c.Template == nil || c.Template.Name == "" || c.Template.Language.Code == "" {
			return invalidCall(graphMissing, "The parameters template.name and template.language.code are required.")
		}
	default:
		return invalidCall(graphInvalid, "Param type must be one of {AUDIO, CONTACTS, DOCUMENT, IMAGE, INTERACTIVE, "+
			"LOCATION, REACTION, STICKER, TEMPLATE, TEXT, VIDEO}, not %q.", c.Type)
	}
	return nil
}

func (c *cloudCall) checkText() *verdict {
	if c.Text.Body == "" {
		return invalidCall(graphMissing, "The parameter text.body is required.")
	}
	if utf8.RuneCountInString(c.Text.Body) > maxCloudText {
		return invalidCall(graphInvalid, "Param text.body must be at most %d characters long: %s", maxCloudText, c.Text.Body)
	}
	return nil
}

// media returns the file that the type names; nil if none.
func (c *cloudCall) media() *cloudMedia {
	return map[string]*cloudMedia{
		"image": c.Image, "video": c.Video, "audio": c.Audio, "document": c.Document, "sticker": c.Sticker,
	}[c.Type]
}

func (s *Server) checkMedia(c *cloudCall, n *cloudNumber) *verdict {
	m := c.media()
	switch {
	case m == nil:
		return invalidCall(graphMissing, "The parameter %s is required.", c.Type)
	case (m.ID == "") == (m.Link == ""):
		return invalidCall(graphBadValue, "The parameter %s must have either an id or a link.", c.Type)
	case m.Link != "" && !strings.HasPrefix(m.Link, "http://") && !strings.HasPrefix(m.Link, "https://"):
		return invalidCall(graphBadValue, "%q is not a link.", m.Link)
	case m.Caption != "" && (c.Type == "audio" || c.Type == "sticker"):
		return invalidCall(graphBadValue, "A message of type %s has no caption.", c.Type)
	case utf8.RuneCountInString(m.Caption) > maxCloudCaption:
		return invalidCall(graphInvalid, "Param caption must be at most %d characters long.", maxCloudCaption)
	}
	if m.ID == "" {
		return nil
	}
	if f := s.cloud.files.get(m.ID); f == nil || f.number != n {
		return invalidCall(graphBadValue, "%s is not a file of this number.", m.ID)
	}
	return nil
}

func (c *cloudCall) checkLocation() *verdict {
	if c.Location == nil {
		return invalidCall(graphMissing, "The parameter location is required.")
	}
	latitude, errLatitude := c.Location.Latitude.Float64()
	longitude, errLongitude := c.Location.Longitude.Float64()
	if errLatitude != nil || errLongitude != nil || max(latitude, -latitude) > 90 || max(longitude, -longitude) > 180 {
		return invalidCall(graphBadValue, "The latitude or the longitude is not a number of degrees.")
	}
	return nil
}

func (c *cloudCall) checkContacts() *verdict {
	if len(c.Contacts) == 0 {
		return invalidCall(graphMissing, "The parameter contacts is required.")
	}
	for _, card := range c.Contacts {
		if card.Name.Formatted == "" {
			return invalidCall(graphMissing, "The parameter contacts.name.formatted_name is required.")
		}
	}
	return nil
}

func (c *cloudCall) checkInteractive() *verdict {
	i := c.Interactive
	if i == nil || i.Body.Text == "" {
		return invalidCall(graphMissing, "The parameter interactive.body is required.")
	}
	switch i.Type {
	case "button":
		if len(i.Action.Buttons) == 0 || len(i.Action.Buttons) > 3 {
			return invalidCall(graphBadValue, "There must be 1 to 3 buttons.")
		}
		for _, b := range i.Action.Buttons {
			if titled := utf8.RuneCountInString(b.Reply.Title); b.Reply.ID == "" || titled == 0 || titled > maxButtonTitle {
				return invalidCall(graphBadValue, "A button's title must have 1 to %d characters, and an id: %q.", maxButtonTitle, b.Reply.Title)
			}
		}
	case "list":
		rows := 0
		for _, section := range i.Action.Sections {
			for _, row := range section.Rows {
				if titled := utf8.RuneCountInString(row.Title); row.ID == "" || titled == 0 || titled > maxRowTitle {
					return invalidCall(graphBadValue, "A row's title must have 1 to %d characters, and an id: %q.", maxRowTitle, row.Title)
				}
				rows++
			}
		}
		if i.Action.Button == "" || rows == 0 || rows > 10 {
			return invalidCall(graphBadValue, "A list needs a button that opens it, and 1 to 10 rows.")
		}
	}
	return nil // other types have shapes of their own
}
