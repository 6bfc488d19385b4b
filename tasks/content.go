package tasks

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxFileBytes bounds a file that comes along as base64: what WhatsApp takes of
// most kinds.
const MaxFileBytes = 16 << 20

// Content is what a message holds instead of a text: at most one of these.
type Content struct {
	Media       *Media          `json:"media,omitempty" doc:"A picture, a video, a sound or any other file"`
	Location    *Location       `json:"location,omitempty"`
	Contacts    []Card          `json:"contacts,omitempty" maxItems:"50" doc:"Entries of an address book"`
	Reaction    *Reaction       `json:"reaction,omitempty" doc:"An emoji under another message"`
	Poll        *Poll           `json:"poll,omitempty" doc:"A question with options (Evolution API)"`
	Template    json.RawMessage `json:"template,omitempty" doc:"A template, as the Cloud API spells it"`
	Interactive *Interactive    `json:"interactive,omitempty" doc:"Buttons or a list"`
}

// Media is a file: at a URL, or within the message.
type Media struct {
	// Kind is image, video, audio, voice, document or sticker.
	Kind     string `json:"kind" enum:"image,video,audio,voice,document,sticker"`
	URL      string `json:"url,omitempty" doc:"Where the gateway finds the file; this or base64" maxLength:"2048" example:"https://example.com/factura.pdf"`
	Base64   string `json:"base64,omitempty" writeOnly:"true" doc:"The file itself, at most 16 MiB"`
	MIMEType string `json:"mime_type,omitempty" maxLength:"255" example:"application/pdf"`
	FileName string `json:"file_name,omitempty" maxLength:"255" example:"factura.pdf"`
	Caption  string `json:"caption,omitempty" maxLength:"1024"`
}

// Location is a place. Degrees are WGS 84.
type Location struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180"`
	Name      string  `json:"name,omitempty" maxLength:"1024"`
	Address   string  `json:"address,omitempty" maxLength:"1024"`
}

// Card is a person's entry in an address book.
type Card struct {
	Name   string   `json:"name" minLength:"1" maxLength:"255"`
	Phones []string `json:"phones,omitempty" maxItems:"10" doc:"E.164"`
	Emails []string `json:"emails,omitempty" maxItems:"10"`
	VCard  string   `json:"vcard,omitempty" maxLength:"16384"`
}

// Reaction is an emoji put under another message of the same chat.
type Reaction struct {
	To    string `json:"to" doc:"Id of the message"`
	Emoji string `json:"emoji" maxLength:"64" doc:"Empty removes an earlier one"`
}

// Poll is a question with options.
type Poll struct {
	Name    string   `json:"name" minLength:"1" maxLength:"255"`
	Options []string `json:"options" minItems:"2" maxItems:"12"`
}

// Interactive is buttons or a list to choose from.
type Interactive struct {
	Kind     string    `json:"kind" enum:"buttons,list"`
	Header   string    `json:"header,omitempty" maxLength:"60"`
	Body     string    `json:"body" minLength:"1" maxLength:"4096"`
	Footer   string    `json:"footer,omitempty" maxLength:"60"`
	Buttons  []Button  `json:"buttons,omitempty" maxItems:"3"`
	Button   string    `json:"button,omitempty" maxLength:"20" doc:"What opens the list"`
	Sections []Section `json:"sections,omitempty" maxItems:"10"`
}

// Button is a reply that can be chosen with one touch.
type Button struct {
	ID    string `json:"id" minLength:"1" maxLength:"256"`
	Title string `json:"title" minLength:"1" maxLength:"20"`
}

// Section is a part of a list.
type Section struct {
	Title string `json:"title,omitempty" maxLength:"24"`
	Rows  []Row  `json:"rows" minItems:"1" maxItems:"10"`
}

// Row is a line of a list.
type Row struct {
	ID          string `json:"id" minLength:"1" maxLength:"200"`
	Title       string `json:"title" minLength:"1" maxLength:"24"`
	Description string `json:"description,omitempty" maxLength:"72"`
}

// Type is the message's type: text, image, video, audio, voice, document, sticker,
// location, contacts, reaction, poll, template or interactive.
func (c Content) Type() string {
	switch {
	case c.Media != nil:
		return c.Media.Kind
	case c.Location != nil:
		return "location"
	case c.Contacts != nil:
		return "contacts"
	case c.Reaction != nil:
		return "reaction"
	case c.Poll != nil:
		return "poll"
	case c.Template != nil:
		return "template"
	case c.Interactive != nil:
		return "interactive"
	}
	return "text"
}

// Words is what can be read of a content: its caption, question, body or emoji.
func (c Content) Words() string {
	switch {
	case c.Media != nil:
		return c.Media.Caption
	case c.Reaction != nil:
		return c.Reaction.Emoji
	case c.Poll != nil:
		return c.Poll.Name
	case c.Interactive != nil:
		return c.Interactive.Body
	}
	return ""
}

// Parts counts the contents; a message has none or one.
func (c Content) Parts() (n int) {
	for _, there := range []bool{
		c.Media != nil, c.Location != nil, c.Contacts != nil, c.Reaction != nil, c.Poll != nil, c.Template != nil, c.Interactive != nil,
	} {
		if there {
			n++
		}
	}
	return n
}

// check judges a content as every gateway would.
func (c Content) check() error {
	encoded, err := json.Marshal(c)
	if err != nil || !storableJSON(encoded) {
		return &InvalidError{c.field(), "invalid_content", "must be JSON in UTF-8 without NUL"}
	}
	reason := ""
	switch {
	case c.Media != nil:
		reason = c.Media.check()
	case c.Location != nil:
		if l := c.Location; !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
			reason = "must have a latitude of -90 to 90 and a longitude of -180 to 180"
		}
	case c.Contacts != nil:
		reason = checkCards(c.Contacts)
	case c.Reaction != nil:
		if c.Reaction.To == "" || len(c.Reaction.Emoji) > 64 {
			reason = "must name a message and have one emoji, or none to take it back"
		}
	case c.Poll != nil:
		reason = c.Poll.check()
	case c.Template != nil:
		var object map[string]json.RawMessage
		if json.Unmarshal(c.Template, &object) != nil || object == nil {
			reason = "must be an object with a name and a language"
		}
	case c.Interactive != nil:
		reason = c.Interactive.check()
	}
	if reason != "" {
		return &InvalidError{c.field(), "invalid_content", reason}
	}
	return nil
}

// field names the content that is there.
func (c Content) field() string {
	if c.Media != nil {
		return "media"
	}
	return c.Type()
}

func (m Media) check() string {
	switch {
	case !slices.Contains([]string{"image", "video", "audio", "voice", "document", "sticker"}, m.Kind):
		return "must have a kind: image, video, audio, voice, document or sticker"
	case (m.URL == "") == (m.Base64 == ""):
		return "must have either a url or base64"
	case m.Caption != "" && (m.Kind == "audio" || m.Kind == "voice" || m.Kind == "sticker"):
		return "must not have a caption: WhatsApp shows none with this kind"
	case utf8.RuneCountInString(m.Caption) > MaxTextRunes:
		return "must have a caption of at most 65536 characters"
	}
	if m.Base64 != "" {
		if base64.StdEncoding.DecodedLen(len(m.Base64)) > MaxFileBytes+2 {
			return "must have at most 16 MiB"
		}
		if _, err := base64.StdEncoding.DecodeString(m.Base64); err != nil {
			return "must have base64 with padding and without line breaks"
		}
		return ""
	}
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "must have a url of http or https, without a password"
	}
	return ""
}

func checkCards(cards []Card) string {
	if len(cards) == 0 {
		return "must have at least one entry"
	}
	for _, c := range cards {
		if strings.TrimSpace(c.Name) == "" || len(c.Phones) == 0 && c.VCard == "" {
			return "must have entries with a name and a phone"
		}
	}
	return ""
}

func (p Poll) check() string {
	if p.Name == "" || len(p.Options) < 2 || len(p.Options) > 12 || slices.Contains(p.Options, "") {
		return "must have a name and 2 to 12 options"
	}
	if different := slices.Compact(slices.Sorted(slices.Values(p.Options))); len(different) < len(p.Options) {
		return "must have options that differ"
	}
	return ""
}

func (i Interactive) check() string {
	switch {
	case i.Body == "":
		return "must have a body"
	case i.Kind == "buttons" && (len(i.Buttons) < 1 || len(i.Buttons) > 3 || len(i.Sections) > 0):
		return "must have 1 to 3 buttons"
	case i.Kind == "list" && (len(i.Sections) < 1 || i.Button == "" || len(i.Buttons) > 0):
		return "must have a button that opens the list, and sections"
	case i.Kind != "buttons" && i.Kind != "list":
		return "must be of a kind: buttons or list"
	}
	ids := map[string]bool{}
	for _, b := range i.Buttons {
		if b.ID == "" || b.Title == "" || ids[b.ID] {
			return "must have buttons with a title and an id of its own"
		}
		ids[b.ID] = true
	}
	rows := 0
	for _, s := range i.Sections {
		for _, r := range s.Rows {
			if r.ID == "" || r.Title == "" || ids[r.ID] {
				return "must have rows with a title and an id of its own"
			}
			ids[r.ID] = true
			rows++
		}
	}
	if i.Kind == "list" && (rows < 1 || rows > 10) {
		return "must have 1 to 10 rows in all"
	}
	return ""
}
