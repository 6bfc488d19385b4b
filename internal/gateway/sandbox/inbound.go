package sandbox

import (
	"net/http"
	"strconv"
	"strings"
)

// Inbound is somebody writing to us.
type Inbound struct {
	Instance  string `json:"instance"`  // whom they write to
	From      string `json:"from"`      // a phone number or a person's JID
	Text      string `json:"text"`      // with Count above 1, each is followed by its number: "Hola 1", "Hola 2"
	ID        string `json:"id"`        // default: a new one; a known one makes a duplicate
	Timestamp int64  `json:"timestamp"` // Unix seconds; default: now
	PushName  string `json:"push_name"` // default: "Sandbox +" and the number
	Count     int    `json:"count"`     // how many messages, up to 10,000; default 1
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
	case in.Text == "":
		return wrong("text", "is required")
	case in.Timestamp < 0:
		return wrong("timestamp", "must be in Unix seconds")
	case in.Count < 0 || in.Count > maxInboundCount:
		return wrong("count", "must be from 1 to %d", maxInboundCount)
	case in.Count > 1 && in.ID != "":
		return wrong("id", "can name only one message, count is %d", in.Count)
	}
	return nil
}

// Receive has somebody write to us and returns the ids of the messages. The
// webhooks follow.
func (s *Server) Receive(in Inbound) (messageIDs []string, err error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	to, from := s.instances.get(in.Instance), jidOf(in.From)
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
		if in.Count > 1 {
			m.text += " " + strconv.Itoa(n+1)
		}
		s.received.add(m)
		s.push(&event{kind: eventUpsert, instance: to, message: m})
		messageIDs = append(messageIDs, m.id)
	}
	return messageIDs, nil
}

func (s *Server) inbound(w http.ResponseWriter, r *http.Request) {
	var in Inbound
	if err := readStrict(w, r, &in); err != nil {
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
