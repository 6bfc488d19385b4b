package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// findCall is a query of the message history. Evolution's offset is the size of
// a page.
type findCall struct {
	Where struct {
		Key struct {
			ID        string `json:"id"`
			RemoteJID string `json:"remoteJid"`
			FromMe    bool   `json:"fromMe"`
		} `json:"key"`
		Timestamp struct {
			GTE *time.Time `json:"gte"`
			LTE *time.Time `json:"lte"`
		} `json:"messageTimestamp"`
	} `json:"where"`
	Page   int `json:"page"`
	Offset int `json:"offset"`
}

// matches has two oddities of Evolution's: fromMe false does not filter, and
// neither do times unless both are given.
func (c *findCall) matches(in *instance, m *message) bool {
	key, from, to := c.Where.Key, c.Where.Timestamp.GTE, c.Where.Timestamp.LTE
	return m.instance == in &&
		(key.ID == "" || key.ID == m.id) &&
		(key.RemoteJID == "" || key.RemoteJID == m.jid) &&
		(!key.FromMe || m.fromMe) &&
		(from == nil || to == nil || from.Unix() <= m.written && m.written <= to.Unix())
}

type foundStatus struct {
	Status string `json:"status"`
}

// record is a message as the history tells it.
type record struct {
	ID          string        `json:"id"`
	Key         *messageKey   `json:"key"`
	PushName    string        `json:"pushName"`
	Type        string        `json:"messageType"`
	Message     any           `json:"message"`
	Timestamp   int64         `json:"messageTimestamp"`
	InstanceID  string        `json:"instanceId"`
	Source      string        `json:"source"`
	ContextInfo *contextInfo  `json:"contextInfo"`
	Updates     []foundStatus `json:"MessageUpdate"`
}

func newRecord(m *message) record {
	data, updates := receivedData(m), []foundStatus{}
	if m.fromMe {
		data = sentData(m)
		for _, status := range progressNames()[:m.progress.Load()] {
			updates = append(updates, foundStatus{status})
		}
	}
	return record{
		rowID(m), data.Key, data.PushName, data.Type, data.Message, data.Timestamp,
		data.InstanceID, data.Source, data.ContextInfo, updates,
	}
}

// found is one page of the history.
type found struct {
	Total   int      `json:"total"`
	Pages   int      `json:"pages"`
	Page    int      `json:"currentPage"`
	Records []record `json:"records"`
}

// findMessages searches what really went out and came in, newest first.
func (s *Server) findMessages(w http.ResponseWriter, r *http.Request, in *instance) {
	var call findCall
	if !readCall(w, r, &call) {
		return
	}
	matches := s.history(func(m *message) bool { return call.matches(in, m) })
	size, page := call.Offset, max(call.Page, 1)
	if size <= 0 {
		size = 50
	}
	size = min(size, max(len(matches), 1)) // no larger page makes a difference
	result := found{Total: len(matches), Pages: (len(matches) + size - 1) / size, Page: page, Records: []record{}}
	if page <= result.Pages {
		first := (page - 1) * size
		for _, m := range matches[first:min(first+size, len(matches))] {
			result.Records = append(result.Records, newRecord(m))
		}
	}
	writeJSON(w, http.StatusOK, map[string]found{"messages": result})
}

// history returns the messages of both directions that match, newest first.
func (s *Server) history(matches func(*message) bool) []*message {
	var list []*message
	out, _ := s.sent.snapshot()
	for _, e := range out {
		if e.delivered && matches(&e.message) {
			list = append(list, &e.message)
		}
	}
	in, _ := s.received.snapshot()
	for _, m := range in {
		if matches(m) {
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b *message) int {
		return cmp.Or(cmp.Compare(b.written, a.written), cmp.Compare(b.arrived, a.arrived), cmp.Compare(b.seq, a.seq))
	})
	return list
}
