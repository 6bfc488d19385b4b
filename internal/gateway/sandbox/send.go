package sandbox

import (
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sendText takes one text.
func (s *Server) sendText(w http.ResponseWriter, r *http.Request) {
	e := s.newSent(r)
	s.take(w, r, e, nil, e.readText(w, r))
}

// newSent returns the entry of a request that is still to be read.
func (s *Server) newSent(r *http.Request) *sent {
	in := s.instances.get(r.PathValue("instance"))
	return &sent{message: message{instance: in, fromMe: true, pushName: ownName}}
}

// take takes one message, with the file that it holds, if any, and with what is
// wrong with it. What will become of it is decided and written down before
// anything can go wrong, so that no fault makes the log inexact.
func (s *Server) take(w http.ResponseWriter, r *http.Request, e *sent, held *attachment, problem any) {
	f := s.faults.Load()
	v := s.decide(f, r, e, problem)
	e.outcome, e.delivered = v.outcome, v.delivered
	if e.delivered {
		e.id = s.ids.next()
		s.files.put(e.instance, e.id, held)
	}
	s.sent.add(e)

	switch e.outcome {
	case OutcomeAccepted:
		s.wait(r, v.slow)
		s.accept(w, r, f, e)
	case OutcomeNoKey:
		s.announce(f, e, nil)
		body := sentData(&e.message)
		body.Key = nil
		s.answer(w, r, e, http.StatusCreated, body)
	case OutcomeHang, OutcomeReset:
		if e.delivered {
			s.announce(f, e, nil)
		}
		s.wait(r, v.slow)
		cut(w)
	case OutcomeFault500, OutcomeFault429, OutcomeLimited, OutcomeInvalid, OutcomeNotOnWhatsApp,
		OutcomeClosed, OutcomeUnauthorized, OutcomeMissing:
		if v.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(v.retryAfter.Seconds()))))
		}
		s.answer(w, r, e, v.status, refusal(v.status, v.message))
	}
}

// accept answers 201, after or before the webhook that says the same.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, f *Faults, e *sent) {
	body := sentData(&e.message)
	if !s.hooked(e.instance) {
		s.answer(w, r, e, http.StatusCreated, body)
		return
	}
	if !s.dice.hit(f.StatusBeforeAnswer) {
		s.answer(w, r, e, http.StatusCreated, body)
		_ = http.NewResponseController(w).Flush() // a client that is gone needs no answer
		s.announce(f, e, nil)
		return
	}
	posted := make(chan struct{})
	s.announce(f, e, posted)
	patience := time.NewTimer(s.opts.WebhookFirst)
	defer patience.Stop()
	select {
	case <-posted:
	case <-patience.C:
	case <-s.closing:
	}
	s.answer(w, r, e, http.StatusCreated, body)
}

// answer answers e and notes when, unless the client has already gone.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, e *sent, status int, body any) {
	if r.Context().Err() == nil {
		e.answered.Store(time.Now().UnixNano())
	}
	writeJSON(w, status, body)
}

// wait lets d pass, or less if the client goes away or the server closes.
func (s *Server) wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.closing:
	}
}

// cut ends the connection without an answer: with a reset where possible.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2 or a recorder
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing then resets
	}
	_ = conn.Close()
}

// readText takes a text from the request and returns what Evolution finds wrong
// with it; nil if nothing.
func (e *sent) readText(w http.ResponseWriter, r *http.Request) (problem any) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return []string{"request body cannot be read"}
	}
	var call struct {
		Number any `json:"number"`
		Text   any `json:"text"`
		Quoted struct {
			Key struct {
				ID string `json:"id"`
			} `json:"key"`
		} `json:"quoted"`
	}
	if err := json.Unmarshal(data, &call); err != nil {
		return []string{explain(err).Error()}
	}
	number, isNumber := call.Number.(string)
	text, isText := call.Text.(string)
	e.number, e.jid, e.text, e.quoted = number, jidOf(number), text, call.Quoted.Key.ID
	switch {
	case call.Number == nil:
		return [][]string{{`instance requires property "number"`}}
	case call.Text == nil:
		return [][]string{{`instance requires property "text"`}}
	case !isNumber:
		return [][]string{{"number is not of a type(s) string"}}
	case !isText:
		return [][]string{{"text is not of a type(s) string"}}
	case strings.TrimSpace(text) == "":
		return []string{"Text is required"}
	}
	return nil
}
