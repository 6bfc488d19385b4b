package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Sent is one request to send as the log tells it.
type Sent struct {
	Seq        int64           `json:"seq"` // its place in the order of arrival, from 1
	Instance   string          `json:"instance"`
	Number     string          `json:"number"`         // as the caller wrote it
	To         string          `json:"to"`             // its JID
	Text       string          `json:"text"`           // or caption, question, emoji
	Type       string          `json:"type,omitempty"` // as Evolution's messageType; empty for a text
	QuotedID   *string         `json:"quoted_id"`      // of the message replied to
	ID         *string         `json:"id"`             // key.id, whether or not the caller got to see it; null exactly if not delivered
	Outcome    Outcome         `json:"outcome"`
	Delivered  bool            `json:"delivered"` // it went out on the fake WhatsApp
	ReceivedAt time.Time       `json:"received_at"`
	AnsweredAt *time.Time      `json:"answered_at"`       // null: not answered, or not yet
	Message    json.RawMessage `json:"message,omitempty"` // the message itself as webhooks have it; null for a text
	Call       string          `json:"call,omitempty"`    // what was called, such as sendMedia; empty for a text
	Request    json.RawMessage `json:"request,omitempty"` // the body of the call; null for a text, and for what is too large
	Cloud      *CloudSent      `json:"cloud,omitempty"`   // nil unless it came through the Cloud API; not to be changed
}

func (e *sent) view() Sent {
	v := Sent{
		Seq:        e.seq,
		Instance:   e.instance.name,
		Number:     e.number,
		To:         e.jid,
		Text:       e.text,
		Type:       e.kind,
		Message:    e.says,
		Call:       e.call,
		Request:    e.request,
		QuotedID:   orNull(e.quoted),
		ID:         orNull(e.id),
		Outcome:    e.outcome,
		Delivered:  e.delivered,
		ReceivedAt: time.Unix(0, e.arrived).UTC(),
		Cloud:      e.cloud,
	}
	if at := e.answered.Load(); at != 0 {
		v.AnsweredAt = new(time.Unix(0, at).UTC())
	}
	return v
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Received is one message to us as the log tells it.
type Received struct {
	Seq        int64           `json:"seq"` // its place in the order of arrival, from 1
	Instance   string          `json:"instance"`
	From       string          `json:"from"` // a JID
	ID         string          `json:"id"`
	Text       string          `json:"text"`
	PushName   string          `json:"push_name"`
	Timestamp  int64           `json:"timestamp"` // Unix seconds
	ReceivedAt time.Time       `json:"received_at"`
	Type       string          `json:"type,omitempty"`    // as Evolution's messageType; empty for a text
	Message    json.RawMessage `json:"message,omitempty"` // the message itself as webhooks have it; null for a text
	Read       bool            `json:"read,omitempty"`    // we have said that we read it
}

func (m *message) view() Received {
	return Received{
		m.seq, m.instance.name, m.jid, m.id, m.text, m.pushName, m.written,
		time.Unix(0, m.arrived).UTC(), m.kind, m.says, m.read.Load(),
	}
}

// Sent returns the whole log of what the sandbox was asked to send, in the
// order of arrival.
func (s *Server) Sent() []Sent {
	entries, _ := s.sent.snapshot()
	list := make([]Sent, len(entries))
	for i, e := range entries {
		list[i] = e.view()
	}
	return list
}

// Received returns the whole log of what people wrote to us, in the order of
// arrival.
func (s *Server) Received() []Received {
	entries, _ := s.received.snapshot()
	list := make([]Received, len(entries))
	for i, m := range entries {
		list[i] = m.view()
	}
	return list
}

func (s *Server) clearSent(w http.ResponseWriter, _ *http.Request) {
	s.sent.clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) clearReceived(w http.ResponseWriter, _ *http.Request) {
	s.received.clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listSent(w http.ResponseWriter, r *http.Request) {
	entries, forgotten := s.sent.snapshot()
	list(w, r.URL.Query(), "to", entries, forgotten, (*sent).view)
}

func (s *Server) listReceived(w http.ResponseWriter, r *http.Request) {
	entries, forgotten := s.received.snapshot()
	list(w, r.URL.Query(), "from", entries, forgotten, (*message).view)
}

// entry is what both logs have in common.
type entry interface{ base() *message }

func (m *message) base() *message { return m }

// list answers with the entries of a log that a query asks for: those of an
// instance, those to or from somebody, those after a number, at most so many.
// The total counts what the first two let through. The log may be long, so the
// answer is written as it is made.
func list[E entry, V any](w http.ResponseWriter, query url.Values, who string, entries []E, forgotten int64, view func(E) V) {
	name, jid := query.Get("instance"), jidOf(query.Get(who))
	since, err := number(query, "since_seq", 0)
	if err != nil {
		writeError(w, err)
		return
	}
	limit, err := number(query, "limit", int64(len(entries)))
	if err != nil {
		writeError(w, err)
		return
	}
	total, page := 0, []E{}
	for _, e := range entries {
		m := e.base()
		if name != "" && name != m.instance.name || jid != "" && jid != m.jid {
			continue
		}
		total++
		if m.seq > since && int64(len(page)) < limit {
			page = append(page, e)
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	out := bufio.NewWriterSize(w, 64<<10)
	defer func() { _ = out.Flush() }() // the client may be gone; nothing to do about it
	_, _ = fmt.Fprintf(out, `{"total":%d,"forgotten":%d,"data":[`, total, forgotten)
	encoder, comma := json.NewEncoder(out), ""
	for _, e := range page {
		_, _ = out.WriteString(comma)
		if err := encoder.Encode(view(e)); err != nil {
			return // the client is gone
		}
		comma = ","
	}
	_, _ = out.WriteString("]}\n")
}

// number reads a whole number of the query.
func number(query url.Values, field string, fallback int64) (int64, error) {
	text := strings.TrimSpace(query.Get(field))
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, wrong(field, "must be a whole number from 0")
	}
	return n, nil
}
