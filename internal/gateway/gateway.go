// Package gateway is the wall between MsgOrch and the WhatsApp gateways: what a
// gateway can be asked and what it can tell us, in our words. Its
// subpackages are the dialects, which know what each gateway really says.
// Nothing behind this wall knows about PostgreSQL, queues or HTTP servers.
package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/msgorch/msgorch/internal/secret"
)

// Account is one instance as its gateway knows it.
type Account struct {
	Instance   string // what the gateway calls it: a name, or the Cloud API's phone_number_id
	BaseURL    string // without a trailing slash; the Cloud API's has its version: https://graph.facebook.com/v23.0
	Credential secret.Text
}

// Outgoing is a message to hand to a gateway.
type Outgoing struct {
	ID       string   // ours; a gateway that can echo it in its reports is told
	To       string   // a JID: 5215550000001@s.whatsapp.net, …@g.us or …@lid
	Type     string   // one of the Type constants
	Text     string   // UTF-8
	Content  *Content // nil for plain text; a reaction's To is the gateway's id here
	QuotedID string   // gateway id of the message replied to; empty if none
}

// Outcome classifies what a gateway did with a send. Its HTTP status alone
// cannot be trusted, so every dialect decides by what the answer says.
type Outcome int

// The zero value is InDoubt: what nobody classified may have been sent.
const (
	InDoubt   Outcome = iota // it may have been sent; never repeat it blindly
	Accepted                 // the gateway took it and gave it an id
	Retry                    // surely not sent; the same request may succeed later
	Permanent                // surely not sent; this message can never succeed as it is
	Pause                    // surely not sent; nothing of this instance can be sent until a person or the gateway acts
)

// String returns the outcome as stored and logged.
func (o Outcome) String() string {
	switch o {
	case InDoubt:
		return "in_doubt"
	case Accepted:
		return "accepted"
	case Retry:
		return "retry"
	case Permanent:
		return "permanent"
	case Pause:
		return "pause"
	}
	return "in_doubt"
}

// Answer is what came of one send.
type Answer struct {
	Outcome    Outcome
	MessageID  string        // the gateway's id; set exactly when Accepted
	HTTPStatus int           // 0 when no answer came
	Code       string        // stable and machine-readable, such as "number_not_on_whatsapp"; empty when Accepted
	Reason     string        // one line for a person; no credentials and no message text
	RetryAfter time.Duration // what the gateway asked for; 0 if nothing
	Scope      Scope         // what a Retry is about
	Slow       bool          // the gateway asks to send more slowly
}

// Scope is how many messages would get the same answer now.
type Scope int

// The zero value is ScopeMessage: the answer is about this message alone.
const (
	ScopeMessage  Scope = iota
	ScopeChat           // every message to this recipient
	ScopeInstance       // every message of the instance
)

// Sender hands one message to a gateway. It returns within ctx's deadline,
// never panics on what the gateway answers, and may be used concurrently.
type Sender interface {
	Send(ctx context.Context, to Account, m Outgoing) Answer
}

// Prober finds out whether an instance can send, without sending anything. It
// may be used concurrently.
type Prober interface {
	// Probe returns nil when the gateway takes the credential, knows the instance
	// and says that its session is open.
	Probe(ctx context.Context, at Account) error
}

// Sought describes a message of ours of which nobody knows whether it was sent.
type Sought struct {
	To    string    // the JID it went to, if it did
	Type  string    // one of the Type constants; empty: of any type
	Text  string    // UTF-8
	Since time.Time // it was not sent before
	// Witness is the id of another message of the instance that surely was sent,
	// at WitnessAt. A gateway that does not know it keeps no record, and its no
	// means nothing. Empty: there is none.
	Witness   string
	WitnessAt time.Time
}

// Finder asks a gateway what it has sent. It may be used concurrently.
type Finder interface {
	// Find returns the gateway's ids of messages that may be the one sought,
	// oldest first. A message to another JID counts when it may belong to the
	// same person. An error means that the gateway could not tell.
	Find(ctx context.Context, at Account, m Sought) ([]string, error)
}

// What a person sees somebody do who is about to answer.
const (
	TypingComposing = "composing"
	TypingRecording = "recording" // a voice message
	TypingPaused    = "paused"    // not any more
)

// Typing is a sign that an answer is being made.
type Typing struct {
	Chat  string        // the JID, as in Outgoing
	State string        // one of the Typing constants
	For   time.Duration // how long it is to be seen, unless the answer comes before
	// LastHeard is the gateway's id of what was written to us last in the chat;
	// empty if nothing was. The Cloud API shows the sign under that alone.
	LastHeard string
}

// Attendant shows people that somebody attends to them. Both methods fail with
// fault.Invalid when the gateway will never do it, and with fault.Unavailable when
// it may later. Doing either twice is harmless. It may be used concurrently.
type Attendant interface {
	// MarkRead tells the writer of a message that it has been read. The chat is a
	// JID: the phone number's in WhatsApp's own spelling, where it is known.
	MarkRead(ctx context.Context, at Account, chat, messageID string) error
	// ShowTyping shows t. It may return only once t.For is over, and may tell as
	// well that t.LastHeard was read: then read is true.
	ShowTyping(ctx context.Context, at Account, t Typing) (read bool, err error)
}

// Message types, as the public API names them.
const (
	TypeText        = "text"
	TypeImage       = "image"
	TypeVideo       = "video"
	TypeAudio       = "audio"
	TypeVoice       = "voice"
	TypeDocument    = "document"
	TypeSticker     = "sticker"
	TypeLocation    = "location"
	TypeContacts    = "contacts"
	TypeReaction    = "reaction"
	TypePoll        = "poll"
	TypeInteractive = "interactive"
	TypeTemplate    = "template"
	TypeUnknown     = "unknown"
)

// Status is evidence of how far a message has come. Except for Failed, a
// larger one implies the smaller ones.
type Status string

// What a gateway can say about a message it has taken.
const (
	StatusAccepted  Status = "accepted"
	StatusSent      Status = "sent"
	StatusDelivered Status = "delivered"
	StatusRead      Status = "read"
	StatusPlayed    Status = "played"
	StatusFailed    Status = "failed"
)

// Envelope is a webhook body whose outside has been read: enough to know whose
// it is and to store it.
type Envelope struct {
	Event    string // normalised: lower case, such as "messages.upsert"
	Instance string // as the body names it; empty only for events that name none
	Body     []byte // the raw body with the gateway's own secrets overwritten
}

// Update is what one webhook event says, in our words. An event that is known
// but means nothing to us has Handled false and nothing else.
type Update struct {
	Handled    bool
	Messages   []Message
	Statuses   []Evidence
	Connection *Connection
	Contacts   []Contact
	Chats      []Chat
	Edits      []Edit
	Deletions  []Deletion

	// What is not about messages.
	Presence     []Presence
	Groups       []Group
	Calls        []Call
	Labels       []Label
	LabelChanges []LabelChange
	QR           *QR

	// Unusable says why parts of the event cannot be used, one line each, without
	// what people wrote. The other parts count; the event is kept for a person.
	Unusable []string
}

// Message is a message the gateway reports, in either direction.
type Message struct {
	Account  string          // the gateway's name of the instance, if the event tells of several; else empty
	ID       string          // the gateway's id, opaque text
	Chat     string          // canonical JID: the phone number's when it is known, else the LID or group
	ChatAlt  string          // another JID of the same chat; empty if none is known
	Sender   string          // JID of who wrote it in a group; empty in a chat with one person
	FromMe   bool            // written by the instance's own account
	Echo     bool            // reported because it was sent through the gateway's API (send.message)
	PushName string          // the name the writer chose; may be empty
	Type     string          // one of the Type constants
	Text     string          // text or caption: valid UTF-8 without NUL; may be empty
	Content  json.RawMessage // what it holds beside its text, storable as jsonb; nil for plain text
	Media    *Media          // the file it holds, for whoever fetches it; nil if none
	QuotedID string          // gateway id of the message replied to; empty if none
	At       time.Time       // when it was written, to the second; zero if the gateway did not say credibly
	Status   Status          // evidence that came along with a message FromMe; empty if none
	History  bool            // from a history sync: old, and nobody is to be told
}

// Evidence is what the gateway says about a message's way to its reader.
type Evidence struct {
	Account   string // as in Message
	MessageID string // the gateway's id; statuses match by it alone, never by address
	Ours      string // our id, if the gateway echoes it
	Status    Status
	At        time.Time // zero if the gateway did not say
	Code      string    // the gateway's own code of a failure; may be empty
	Reason    string    // why it failed; may be empty
}

// Edit is a new text of a message.
type Edit struct {
	Account   string // as in Message
	MessageID string // the gateway's id of the message that was edited
	Text      string // as in Message
	At        time.Time
}

// Deletion says that a message was deleted for everyone.
type Deletion struct {
	Account   string // as in Message
	MessageID string // the gateway's id of the message that was deleted
	At        time.Time
}

// ConnectionOpen is the state of a session that can send.
const ConnectionOpen = "open"

// Connection is the state of an instance's session with WhatsApp.
type Connection struct {
	State  string // open, connecting, close, refused
	Reason int    // the gateway's status code for it; 0 if none
}

// Contact is what the gateway knows of a person or group.
type Contact struct {
	Account string // as in Message
	JID     string
	Name    string   // may be empty
	Aliases []string // other JIDs of the same person: …@s.whatsapp.net, …@lid, …@bsuid
}

// Chat is what the gateway says of a conversation.
type Chat struct {
	JID  string
	Name string // may be empty
}

// Decoder reads one gateway's webhooks. Both methods are pure and safe for
// concurrent use, and neither panics on any input.
type Decoder interface {
	// Open reads a body's outside. It fails with fault.Invalid when the body is
	// not a JSON object or names no usable event or instance.
	Open(body []byte) (Envelope, error)
	// Decode reads what the event says from the body that Open returned. It
	// fails with fault.Invalid when the content cannot be used; such an event
	// is kept for a person to look at.
	Decode(event string, body []byte) (Update, error)
}
