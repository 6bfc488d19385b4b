package sandbox

import (
	"cmp"
	"encoding/json"
	"strings"
)

// The events that the sandbox posts.
const (
	eventSend       = "send.message"
	eventUpsert     = "messages.upsert"
	eventUpdate     = "messages.update"
	eventEdited     = "messages.edited"
	eventDelete     = "messages.delete"
	eventConnection = "connection.update"
)

// The steps of a message that was sent, as messages.update names them.
const (
	statusDelivered = "DELIVERY_ACK"
	statusRead      = "READ"
)

// progressNames are the steps in their order.
func progressNames() []string { return []string{statusDelivered, statusRead} }

// envelope is the outside of every webhook.
type envelope struct {
	Event       string `json:"event"`
	Instance    string `json:"instance"`
	Data        any    `json:"data"`
	Destination string `json:"destination"`
	DateTime    string `json:"date_time"`
	Sender      string `json:"sender"`
	ServerURL   string `json:"server_url"`
	APIKey      string `json:"apikey"`
}

type messageKey struct {
	RemoteJID      string  `json:"remoteJid"`
	RemoteJIDAlt   string  `json:"remoteJidAlt,omitempty"`
	FromMe         bool    `json:"fromMe"`
	ID             string  `json:"id"`
	Participant    *string `json:"participant,omitempty"` // inbound: empty in a chat with one person
	AddressingMode string  `json:"addressingMode,omitempty"`
}

type content struct {
	Conversation string          `json:"conversation"`
	ContextInfo  json.RawMessage `json:"messageContextInfo,omitempty"`
}

// long is an int64 as Evolution 2.3.6 writes it.
type long struct {
	Low      int32 `json:"low"`
	High     int32 `json:"high"`
	Unsigned bool  `json:"unsigned"`
}

type disappearing struct {
	Initiator int `json:"initiator"`
}

type contextInfo struct {
	QuotedID     string       `json:"stanzaId,omitempty"`
	Mentioned    []string     `json:"mentionedJid"`
	Groups       []string     `json:"groupMentions"`
	Ephemeral    long         `json:"ephemeralSettingTimestamp"`
	Disappearing disappearing `json:"disappearingMode"`
}

// messageData is a message in webhooks and in the answer to a send.
type messageData struct {
	Key         *messageKey  `json:"key,omitempty"`
	PushName    string       `json:"pushName"`
	Status      string       `json:"status"`
	Message     any          `json:"message"` // content, or raw JSON
	ContextInfo *contextInfo `json:"contextInfo,omitempty"`
	Type        string       `json:"messageType"`
	Timestamp   int64        `json:"messageTimestamp"`
	InstanceID  string       `json:"instanceId"`
	Source      string       `json:"source"`
}

// deviceInfo is the noise that comes with every inbound message: bytes as maps
// from index to number, and an int64 in halves.
const deviceInfo = `{"deviceListMetadata":{"senderKeyIndexes":[],"recipientKeyIndexes":[],` +
	`"senderKeyHash":{"0":16,"1":32},"senderTimestamp":{"low":1763879990,"high":0,"unsigned":true},` +
	`"recipientKeyHash":{"0":1,"1":2},"recipientTimestamp":{"low":1763879991,"high":0,"unsigned":true}},` +
	`"deviceListMetadataVersion":2,"messageSecret":{"0":0,"1":1,"2":2}}`

// sentData is a message of ours: the answer to its send and its send.message.
func sentData(m *message) messageData {
	return messageData{
		Key:      &messageKey{RemoteJID: m.jid, FromMe: true, ID: m.id},
		PushName: m.pushName,
		Status:   "PENDING",
		Message:  m.content(""),
		ContextInfo: &contextInfo{
			QuotedID:  m.quoted,
			Mentioned: []string{},
			Groups:    []string{},
			Ephemeral: long{Low: 1763707200},
		},
		Type:       cmp.Or(m.kind, "conversation"),
		Timestamp:  m.written,
		InstanceID: m.instance.id,
		Source:     "web",
	}
}

// receivedData is a message to us as messages.upsert tells it.
func receivedData(m *message) messageData {
	key := &messageKey{RemoteJID: m.jid, ID: m.id, Participant: new(""), AddressingMode: "lid"}
	if number, ok := strings.CutSuffix(m.jid, personServer); ok {
		key.RemoteJIDAlt, key.AddressingMode = "90"+number+"@lid", "pn"
	}
	return messageData{
		Key:        key,
		PushName:   m.pushName,
		Status:     statusDelivered,
		Message:    m.content(deviceInfo),
		Type:       cmp.Or(m.kind, "conversation"),
		Timestamp:  m.written,
		InstanceID: m.instance.id,
		Source:     "android",
	}
}

// content is what m says. Noise, if any, comes along with a text only; whoever
// makes up other contents adds it as they like.
func (m *message) content(noise string) any {
	if m.says != nil {
		return m.says
	}
	return content{Conversation: m.text, ContextInfo: json.RawMessage(noise)}
}

// updateData says how far a message of ours has come.
type updateData struct {
	KeyID      string `json:"keyId"`
	RemoteJID  string `json:"remoteJid"`
	FromMe     bool   `json:"fromMe"`
	Status     string `json:"status"`
	InstanceID string `json:"instanceId"`
	RowID      string `json:"messageId"`
}

// connectionData says that an instance's session with WhatsApp changed.
type connectionData struct {
	Instance string  `json:"instance"`
	OwnJID   string  `json:"wuid"`
	Name     string  `json:"profileName"`
	Picture  *string `json:"profilePictureUrl"`
	State    string  `json:"state"`
	Reason   int     `json:"statusReason"`
}

// reasonOf is the status code that comes with a state of the session.
func reasonOf(state string) int {
	if state == stateClose {
		return 401 // logged out; others are not announced
	}
	return 200
}

// rowID is Evolution's own id of a message, which nobody should rely on.
func rowID(m *message) string { return "cm" + strings.ToLower(m.id) }

// body is what an event's webhook says. It is the same every time it is asked
// for, so that a retry repeats the first try byte for byte.
func (s *Server) body(ev *event, destination string) ([]byte, error) {
	in := ev.instance
	e := envelope{
		Event:       ev.kind,
		Instance:    in.name,
		Destination: destination,
		DateTime:    ev.at.UTC().Format("2006-01-02T15:04:05.000Z"),
		Sender:      ownJID,
		ServerURL:   s.opts.ServerURL,
		APIKey:      s.token(in),
	}
	switch m := ev.message; ev.kind {
	case eventSend:
		e.Data = sentData(m)
	case eventUpsert:
		e.Data = receivedData(m)
	case eventUpdate:
		e.Data = updateData{m.id, m.jid, m.fromMe, ev.status, in.id, rowID(m)}
	case eventEdited, eventDelete:
		e.Data = ev.data
	case eventConnection:
		e.Data = connectionData{in.name, ownJID, ownName, nil, ev.status, reasonOf(ev.status)}
	}
	return json.Marshal(e)
}
