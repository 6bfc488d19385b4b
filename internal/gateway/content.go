package gateway

import (
	"encoding/json"
	"time"
)

// Content is what a message holds beside its text, in our words and under the
// names of the public API, whichever gateway it came from or goes to. The part
// that fits the message's type is set; a plain text has none.
type Content struct {
	Media       *Media          `json:"media,omitempty"`       // image, video, audio, voice, document, sticker
	Location    *Location       `json:"location,omitempty"`    // location
	Contacts    []Card          `json:"contacts,omitempty"`    // contacts
	Reaction    *Reaction       `json:"reaction,omitempty"`    // reaction
	Poll        *Poll           `json:"poll,omitempty"`        // poll, and votes in one
	Interactive *Interactive    `json:"interactive,omitempty"` // interactive
	Template    json.RawMessage `json:"template,omitempty"`    // template, as the Cloud API spells it
	Forwarded   bool            `json:"forwarded,omitempty"`
	Raw         json.RawMessage `json:"raw,omitempty"` // what has no words here, as the gateway gave it: a received content of unknown type, or the ad that one answers
}

// Media is a file. A received one names where its gateway keeps it.
type Media struct {
	Kind     string `json:"kind,omitempty"`      // image, video, audio, voice, document or sticker
	URL      string `json:"url,omitempty"`       // of one to send; in Message.Media, a copy that the gateway has put there for a while
	Base64   string `json:"base64,omitempty"`    // of one to send, instead of a URL; in Message.Media, the file itself if it came along
	MIMEType string `json:"mime_type,omitempty"` // as its sender says; believed by nobody
	FileName string `json:"file_name,omitempty"`
	Caption  string `json:"caption,omitempty"` // of one to send; a received one's is the message's text
	Bytes    int64  `json:"bytes,omitempty"`   // as its sender says
	Seconds  int    `json:"seconds,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // base64, as its sender says

	// What is known of a received one that is fetched: then its URL is ours, and
	// MIMEType and SHA256 are by its bytes.
	State string      `json:"state,omitempty" enum:"pending,kept,failed" doc:"Of a received file: whether it is fetched already"`
	Size  int64       `json:"size,omitempty" doc:"In bytes, counted"`
	Fetch *MediaFetch `json:"fetch,omitempty" doc:"How fetching it goes"`

	// GatewayID is what the gateway calls the file: fetched with it and the
	// account's credential. Where files have no name it is the message's id.
	GatewayID string `json:"-"`
}

// MediaFetch is how fetching a file from its gateway goes.
type MediaFetch struct {
	Attempts      int         `json:"attempts"`
	AttemptedAt   *time.Time  `json:"attempted_at" doc:"The latest attempt"`
	DurationMS    *int        `json:"duration_ms"`
	NextAttemptAt *time.Time  `json:"next_attempt_at" doc:"Null unless it is pending"`
	Error         *MediaError `json:"error" doc:"What the latest attempt failed of"`
}

// MediaError is why a file was not fetched.
type MediaError struct {
	Code    string `json:"code" doc:"Stable and machine-readable"`
	Message string `json:"message" doc:"One line for a person"`
}

// Location is a place. Degrees are WGS 84.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// Card is a person's entry in an address book.
type Card struct {
	Name   string   `json:"name"`
	Phones []string `json:"phones,omitempty"` // E.164 where that is known
	Emails []string `json:"emails,omitempty"`
	VCard  string   `json:"vcard,omitempty"`
}

// Reaction is an emoji put under another message.
type Reaction struct {
	To    string `json:"to"`    // of one to send: our id; of a received one: the gateway's
	Emoji string `json:"emoji"` // empty removes an earlier one

	// FromMe says of one to send that the other message is ours. Gateways that
	// name messages by chat and writer need to know.
	FromMe bool `json:"-"`
}

// Poll is a question with options, or somebody's votes in one.
type Poll struct {
	Name    string   `json:"name,omitempty"`
	Options []string `json:"options,omitempty"`
	Votes   []string `json:"votes,omitempty"`
	To      string   `json:"to,omitempty"` // gateway id of the poll voted in
}

// Interactive is buttons, a list, or what somebody chose of them.
type Interactive struct {
	Kind        string          `json:"kind"`            // of one to send: buttons or list; of a choice: button, list or flow
	ID          string          `json:"id,omitempty"`    // of what was chosen, as its sender named it
	Title       string          `json:"title,omitempty"` // of what was chosen
	Description string          `json:"description,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"` // what a flow was filled in with
	Body        string          `json:"body,omitempty"`
	Footer      string          `json:"footer,omitempty"`
	Header      string          `json:"header,omitempty"`
	Button      string          `json:"button,omitempty"` // what opens a list
	Buttons     []Button        `json:"buttons,omitempty"`
	Sections    []Section       `json:"sections,omitempty"`
}

// Button is a reply that can be chosen with one touch.
type Button struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Section is a part of a list.
type Section struct {
	Title string `json:"title,omitempty"`
	Rows  []Row  `json:"rows"`
}

// Row is a line of a list that can be chosen.
type Row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}
