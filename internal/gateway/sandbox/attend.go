package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sign is what somebody was shown of us beside messages, through Evolution's calls.
type Sign struct {
	Seq       int64     `json:"seq"` // its place in the order of arrival, from 1
	Instance  string    `json:"instance"`
	To        string    `json:"to"`                   // a JID
	Shows     string    `json:"shows"`                // "read", or a presence such as "composing"
	MessageID string    `json:"message_id,omitempty"` // of what was read
	DelayMS   int64     `json:"delay_ms,omitempty"`   // for how long a presence was asked for
	At        time.Time `json:"at"`
}

func (x *Sign) stamp(seq int64, now time.Time) { x.Seq, x.At = seq, now.UTC() }

// markRead notes which messages to us have been read. Evolution says yes to LIDs
// and does nothing, and so does the sandbox.
func (s *Server) markRead(w http.ResponseWriter, r *http.Request, in *instance) {
	var call struct {
		Messages []keyCall `json:"readMessages"`
	}
	if !readCall(w, r, &call) {
		return
	}
	if len(call.Messages) == 0 {
		writeRefusal(w, http.StatusBadRequest, [][]string{{`instance requires property "readMessages"`}})
		return
	}
	if s.state(in) != "open" {
		writeRefusal(w, http.StatusInternalServerError, []string{"Read messages fail", "Error: Connection Closed"})
		return
	}
	received, _ := s.received.snapshot()
	for _, key := range call.Messages {
		if strings.HasSuffix(key.RemoteJID, lidServer) {
			continue
		}
		s.signs.add(&Sign{Instance: in.name, To: key.RemoteJID, Shows: "read", MessageID: key.ID})
		for _, m := range received {
			if m.instance == in && m.id == key.ID && m.jid == key.RemoteJID {
				m.read.Store(true)
			}
		}
	}
	writeJSON(w, http.StatusCreated, map[string]string{"message": "Read messages", "read": "success"})
}

// sendPresence shows somebody that we are writing, for a while, and answers then.
func (s *Server) sendPresence(w http.ResponseWriter, r *http.Request, in *instance) {
	var call struct {
		Number   string `json:"number"`
		Presence string `json:"presence"`
		Delay    *int64 `json:"delay"`
	}
	if !readCall(w, r, &call) {
		return
	}
	jid := jidOf(call.Number)
	switch {
	case call.Number == "":
		writeRefusal(w, http.StatusBadRequest, [][]string{{`instance requires property "number"`}})
	case !slices.Contains([]string{"unavailable", "available", "composing", "recording", "paused"}, call.Presence):
		writeRefusal(w, http.StatusBadRequest, [][]string{{"presence is not one of enum values: unavailable,available,composing,recording,paused"}})
	case call.Delay == nil:
		writeRefusal(w, http.StatusBadRequest, [][]string{{`instance requires property "delay"`}})
	case s.state(in) != "open":
		writeRefusal(w, http.StatusInternalServerError, []string{"Error: Connection Closed"})
	case !onWhatsApp(jid):
		writeRefusal(w, http.StatusBadRequest, []absentee{{jid, false, call.Number}})
	default:
		s.signs.add(&Sign{Instance: in.name, To: jid, Shows: call.Presence, DelayMS: *call.Delay})
		s.wait(r, time.Duration(*call.Delay)*time.Millisecond)
		writeJSON(w, http.StatusCreated, map[string]string{"presence": call.Presence})
	}
}

// Signs returns what people were shown of us through Evolution's calls, in the order
// of arrival.
func (s *Server) Signs() []Sign {
	signs, _ := s.signs.snapshot()
	list := make([]Sign, len(signs))
	for i, x := range signs {
		list[i] = *x
	}
	return list
}

func (s *Server) listSigns(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string][]Sign{"data": s.Signs()})
}
