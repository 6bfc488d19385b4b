package gateway

import (
	"time"

	"github.com/msgorch/msgorch/internal/secret"
)

// What somebody is doing in a chat.
const (
	PresenceAvailable   = "available"
	PresenceUnavailable = "unavailable"
	PresenceComposing   = "composing"
	PresenceRecording   = "recording"
	PresencePaused      = "paused"
)

// Presence is what somebody is doing in a chat at this moment. It is not worth
// keeping for long.
type Presence struct {
	Account  string    // as in Message
	Chat     string    // JID of the chat or group
	JID      string    // of the person
	State    string    // one of the Presence constants
	LastSeen time.Time // when they were last there; zero if not told
}

// What happened to the participants of a group.
const (
	GroupAdd     = "add"
	GroupRemove  = "remove"
	GroupPromote = "promote" // they became admins
	GroupDemote  = "demote"  // they are admins no more
)

// Group is what the gateway says of a group. What is empty was not told, which
// does not mean that it is not there.
type Group struct {
	Account      string // as in Message
	JID          string
	Name         string
	Description  string
	Owner        string        // JID
	Action       string        // one of the Group constants; empty: the participants are all there are
	Participants []Participant // all of them, or those that the action is about
}

// Participant is a member of a group.
type Participant struct {
	JID     string
	Aliases []string // as in Contact
	Admin   bool
}

// What became of a call.
const (
	CallOffer     = "offer"
	CallRinging   = "ringing"
	CallAccept    = "accept"
	CallReject    = "reject"
	CallTimeout   = "timeout"
	CallTerminate = "terminate"
)

// Call is what the gateway says of a call that somebody makes to us.
type Call struct {
	Account string // as in Message
	ID      string // the gateway's id of the call, the same in all that it says of it
	From    string // JID
	Status  string // one of the Call constants
	Video   bool
	At      time.Time // zero if the gateway did not say credibly
}

// Label is a label that chats and messages can carry in the WhatsApp Business
// app.
type Label struct {
	Account string // as in Message
	ID      string
	Name    string // may be empty
	Color   int    // index in WhatsApp's palette
	Deleted bool
}

// LabelChange says that a chat or message got a label, or lost it.
type LabelChange struct {
	Account   string // as in Message
	LabelID   string
	Chat      string // JID
	MessageID string // the gateway's id; empty: the chat itself
	Removed   bool
}

// QR is the way into an account: who scans it, or types its pairing code, owns
// the session. It must not be stored or logged, and lives for seconds.
type QR struct {
	Code        secret.Text // what the picture says
	PairingCode secret.Text // to be typed instead; empty if none was asked for
	Image       secret.Text // the picture as a data URL
	Exhausted   bool        // too many went by unscanned: there will be no more until the session is started again
}

// Link is an instance on its way to a session with WhatsApp.
type Link struct {
	State string // as in Connection
	QR    QR     // what a person must do for it; zero when there is nothing (yet)
}
