package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Inbound is somebody writing to us: a text, another content, an edit of what they
// wrote before, or its deletion.
type Inbound struct {
	Instance  string `json:"instance"`  // whom they write to
	From      string `json:"from"`      // a phone number or a person's JID
	Text      string `json:"text"`      // with Count above 1, each is followed by its number: "Hola 1", "Hola 2"
	ID        string `json:"id"`        // default: a new one; a known one makes a duplicate
	Timestamp int64  `json:"timestamp"` // Unix seconds; default: now
	PushName  string `json:"push_name"` // default: "Sandbox +" and the number
	Count     int    `json:"count"`     // how many messages, up to 10,000; default 1

	// Message is the message member as webhooks have it, instead of Text. With a
	// base64 member beside its content, that is the file that the gateway gives.
	Message json.RawMessage `json:"message"`
	Edits   string          `json:"edits"`   // id of the message that Text or Message is the new content of
	Deletes string          `json:"deletes"` // id of the message that is deleted for everyone
}

const maxInboundCount = 10_000

// validate names the field that is wrong.
func (in *Inbound) validate() error {
	jid := jidOf(in.From)
	switch {
	case in.Instance == "":
		return wrong("instance", "is required")
	case in.From == "":
		return wrong("from", "is required")
	case strings.HasPrefix(jid, "@"):
		return wrong("from", "must be a phone number or a JID")
	case strings.HasSuffix(jid, groupServer):
		return wrong("from", "must be a person, not a group")
	case in.Text == "" && in.Message == nil && in.Deletes == "":
		return wrong("text", "is required, or message, or deletes")
	case in.Text != "" && in.Message != nil:
		return wrong("message", "excludes text")
	case in.Deletes != "" && (in.Text != "" || in.Message != nil || in.Edits != ""):
		return wrong("deletes", "excludes text, message and edits")
	case in.Message != nil && contentName(in.Message) == "":
		return wrong("message", "must be a JSON object such as {\"conversation\":\"Hola\"}")
	case in.Timestamp < 0:
		return wrong("timestamp", "must be in Unix seconds")
	case in.Count < 0 || in.Count > maxInboundCount:
		return wrong("count", "must be from 1 to %d", maxInboundCount)
	case in.Count > 1 && in.ID != "":
		return wrong("id", "can name only one message, count is %d", in.Count)
	case in.Count > 1 && in.Edits+in.Deletes != "":
		return wrong("count", "must be 1 for an edit or a deletion")
	}
	return nil
}

// Receive has somebody write to us and returns the ids of the messages, or of the
// one that is edited or deleted. The webhooks follow.
func (s *Server) Receive(in Inbound) (messageIDs []string, err error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	to, from := s.instances.get(in.Instance), jidOf(in.From)
	switch {
	case in.Edits != "":
		s.edit(to, from, in)
		return []string{in.Edits}, nil
	case in.Deletes != "":
		s.revoke(to, from, in.Deletes)
		return []string{in.Deletes}, nil
	}
	user, _, _ := strings.Cut(from, "@")
	if in.PushName == "" {
		in.PushName = "Sandbox +" + user
	}
	for n := range max(in.Count, 1) {
		m := &message{
			instance: to, id: in.ID, jid: from, text: in.Text,
			pushName: in.PushName, written: in.Timestamp,
		}
		if m.id == "" {
			m.id = s.ids.next()
		}
		if in.Message != nil {
			m.kind, m.says = contentName(in.Message), in.Message
			s.files.put(to, m.id, attachmentIn(m.kind, in.Message))
		} else if in.Count > 1 {
			m.text += " " + strconv.Itoa(n+1)
		}
		s.received.add(m)
		s.push(&event{kind: eventUpsert, instance: to, message: m})
		messageIDs = append(messageIDs, m.id)
	}
	return messageIDs, nil
}

// protocol is how WhatsApp transports an edit or a deletion. The key is its
// writer's view of the other message.
type protocol struct {
	Key     keyCall `json:"key"`
	Type    string  `json:"type"`
	Content any     `json:"editedMessage,omitempty"`
	At      string  `json:"timestampMs,omitempty"`
}

// edit says that somebody gave a message of theirs another content.
func (s *Server) edit(to *instance, from string, in Inbound) {
	p := protocol{Key: keyCall{in.Edits, from, true}, Type: "MESSAGE_EDIT", Content: in.Message}
	if in.Message == nil {
		p.Content = content{Conversation: in.Text}
	}
	at := time.Now()
	if in.Timestamp > 0 {
		at = time.Unix(in.Timestamp, 0)
	}
	p.At = strconv.FormatInt(at.UnixMilli(), 10)
	s.push(&event{kind: eventEdited, instance: to, data: p})
}

// revoke says that somebody deleted a message of theirs for everyone, which
// Evolution tells twice.
func (s *Server) revoke(to *instance, from, id string) {
	s.push(&event{kind: eventEdited, instance: to, data: protocol{Key: keyCall{id, from, true}, Type: "REVOKE"}})
	s.push(&event{kind: eventDelete, instance: to, data: keyCall{id, from, false}})
}

// contentName returns the name of what a message member says, which is the type
// of the message; empty for what is no message.
func contentName(raw json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return ""
	}
	if _, ok := members["conversation"]; ok {
		return "conversation"
	}
	found := ""
	for name := range members {
		if strings.Contains(name, "Message") && name != "senderKeyDistributionMessage" && name > found {
			found = name
		}
	}
	return found
}

// attachmentIn returns the file that comes along with a message member; nil if
// there is none.
func attachmentIn(kind string, raw json.RawMessage) *attachment {
	var members map[string]json.RawMessage
	var about struct {
		Name     string `json:"fileName"`
		MIMEType string `json:"mimetype"`
		Caption  string `json:"caption"`
	}
	var file []byte
	if json.Unmarshal(raw, &members) != nil || json.Unmarshal(members["base64"], &file) != nil || file == nil {
		return nil
	}
	_ = json.Unmarshal(members[kind], &about) // what it does not say is not known
	return &attachment{
		kind: kind, name: about.Name, mimeType: about.MIMEType, caption: about.Caption,
		base64: strings.Trim(string(members["base64"]), `"`), bytes: len(file),
	}
}

func (s *Server) inbound(w http.ResponseWriter, r *http.Request) {
	var in Inbound
	if err := readStrictUpTo(maxFileBodyBytes, w, r, &in); err != nil {
		writeError(w, err)
		return
	}
	messageIDs, err := s.Receive(in)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string][]string{"ids": messageIDs})
}
