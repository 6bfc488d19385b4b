package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// CloudSent is what the log tells of a send through the Cloud API beyond what it
// tells of every send.
type CloudSent struct {
	PhoneNumberID string          `json:"phone_number_id"`
	Type          string          `json:"type"`                     // text, image, …
	CallbackData  string          `json:"biz_opaque_callback_data"` // empty if it has none
	Request       json.RawMessage `json:"request"`                  // the whole body as it came; null if it is not JSON
	ErrorCode     int             `json:"error_code"`               // Graph's, of a refusal; 0 if it said none
}

// CloudMark says that a message to us was marked as read.
type CloudMark struct {
	Seq           int64     `json:"seq"` // its place in the order of arrival, from 1
	PhoneNumberID string    `json:"phone_number_id"`
	MessageID     string    `json:"message_id"`
	Typing        bool      `json:"typing"` // and that an answer is being written
	At            time.Time `json:"at"`
}

func (m *CloudMark) stamp(seq int64, now time.Time) { m.Seq, m.At = seq, now.UTC() }

// graphMessages takes one message, or a mark. As with Evolution, what will become
// of a message is decided and written down before anything can go wrong. The
// same request twice is two messages.
func (s *Server) graphMessages(w http.ResponseWriter, r *http.Request) {
	f := s.faults.Load()
	n, no := s.admit(f, r, r.PathValue("number"))
	call, problem := s.readCloudCall(w, r, n)
	if call.Status != "" {
		s.mark(w, n, no, call, problem)
		return
	}
	call.Type = cmp.Or(call.Type, "text")
	e := s.newCloudSent(r.PathValue("number"), n, call)
	v := no
	if n != nil {
		v = s.decideOnGraph(f, n, e, call, problem)
	}
	e.outcome, e.delivered = v.outcome, v.delivered
	if refused, ok := v.message.(graphError); ok {
		e.cloud.ErrorCode = refused.Code
	}
	if e.delivered {
		e.id = "wamid.HBgN" + s.ids.next()
	}
	s.sent.add(e)
	s.respond(w, r, f, n, e, v)
}

// newCloudSent is the log's entry of a call. The instance of an unknown number
// has the number's own name.
func (s *Server) newCloudSent(id string, n *cloudNumber, call *cloudCall) *sent {
	name := id
	if n != nil {
		name = n.settings.Load().Instance
	}
	e := &sent{
		message: message{
			instance: s.instances.get(name), jid: call.jid(), text: call.text(), fromMe: true, pushName: ownName,
		},
		number: call.To + call.Recipient,
		cloud:  &CloudSent{PhoneNumberID: id, Type: call.Type, CallbackData: call.CallbackData, Request: call.raw},
	}
	if call.Context != nil {
		e.quoted = call.Context.MessageID
	}
	return e
}

// decideOnGraph gives e's verdict: the first reason to refuse it, else what the
// dice say.
func (s *Server) decideOnGraph(f *Faults, n *cloudNumber, e *sent, call *cloudCall, problem *verdict) verdict {
	settings := n.settings.Load()
	switch {
	case slices.Contains(f.ClosedInstances, settings.Instance):
		return refusalOf(OutcomeClosed, graphUnregistered, "")
	case problem != nil:
		return *problem
	case e.jid == jidOf(settings.DisplayPhoneNumber):
		return refusalOf(OutcomeInvalid, graphToSelf, "")
	case !onWhatsApp(e.jid):
		return refusalOf(OutcomeNotOnWhatsApp, graphUndelivered, "Message undeliverable to "+e.number)
	case call.Type != "template" && !n.inWindow(e.jid):
		return refusalOf(OutcomeInvalid, graphOutside, "More than 24 hours have passed since "+e.number+" last replied to this number")
	case e.instance.limit.Load().take() > 0:
		return refusalOf(OutcomeLimited, graphTooFast, "")
	case !n.takePair(e.jid):
		return refusalOf(OutcomeLimited, graphPairTooFast, "")
	}
	return s.misfortuneOnGraph(f)
}

// respond does what the verdict says.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, f *Faults, n *cloudNumber, e *sent, v verdict) {
	taken := acceptance(e)
	switch v.outcome {
	case OutcomeAccepted:
		s.wait(r, v.slow)
		s.acceptOnGraph(w, r, f, n, e, taken)
	case OutcomeNoKey:
		s.announceOnGraph(f, n, e, nil)
		taken.Messages = nil
		s.answer(w, r, e, http.StatusOK, taken)
	case OutcomeHang, OutcomeReset:
		if e.delivered {
			s.announceOnGraph(f, n, e, nil)
		}
		s.wait(r, v.slow)
		cut(w)
	default:
		if e.delivered { // and a proxy hides it
			s.announceOnGraph(f, n, e, nil)
		}
		if r.Context().Err() == nil {
			e.answered.Store(time.Now().UnixNano())
		}
		s.writeGraph(w, v.status, v.message)
	}
}

// acceptOnGraph answers 200, after or before the webhook that says that it was sent.
func (s *Server) acceptOnGraph(w http.ResponseWriter, r *http.Request, f *Faults, n *cloudNumber, e *sent, taken accepted) {
	if !s.dice.hit(f.StatusBeforeAnswer) {
		s.answer(w, r, e, http.StatusOK, taken)
		_ = http.NewResponseController(w).Flush() // a client that is gone needs no answer
		s.announceOnGraph(f, n, e, nil)
		return
	}
	posted := make(chan struct{})
	s.announceOnGraph(f, n, e, posted)
	patience := time.NewTimer(s.opts.WebhookFirst)
	defer patience.Stop()
	select {
	case <-posted:
	case <-patience.C:
	case <-s.closing:
	}
	s.answer(w, r, e, http.StatusOK, taken)
}

// accepted is the answer to a message that was taken.
type accepted struct {
	Product  string           `json:"messaging_product"`
	Contacts []acceptedPerson `json:"contacts"`
	Messages []acceptedID     `json:"messages,omitempty"`
}

type acceptedPerson struct {
	Input  string `json:"input"`
	WAID   string `json:"wa_id,omitempty"`
	UserID string `json:"user_id,omitempty"`
}

type acceptedID struct {
	ID     string `json:"id"`
	Status string `json:"message_status,omitempty"` // of templates
}

func acceptance(e *sent) accepted {
	person := acceptedPerson{Input: e.number}
	switch name, server, _ := strings.Cut(e.jid, "@"); "@" + server {
	case userServer:
		person.UserID = name
	default:
		person.WAID = name
	}
	id := acceptedID{ID: e.id}
	if e.cloud.Type == "template" {
		id.Status = "accepted"
	}
	return accepted{Product: "whatsapp", Contacts: []acceptedPerson{person}, Messages: []acceptedID{id}}
}

// mark takes that a message to us has been read.
func (s *Server) mark(w http.ResponseWriter, n *cloudNumber, no verdict, call *cloudCall, problem *verdict) {
	if n != nil && problem != nil {
		n, no = nil, *problem
	}
	if n == nil {
		s.writeGraph(w, no.status, no.message)
		return
	}
	s.cloud.marks.add(&CloudMark{PhoneNumberID: n.id, MessageID: call.MessageID, Typing: call.Typing != nil})
	writeJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// CloudMarks returns which messages to us were marked as read, in the order in
// which that happened.
func (s *Server) CloudMarks() []CloudMark {
	marks, _ := s.cloud.marks.snapshot()
	list := make([]CloudMark, len(marks))
	for i, m := range marks {
		list[i] = *m
	}
	return list
}

func (s *Server) listCloudMarks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string][]CloudMark{"data": s.CloudMarks()})
}
