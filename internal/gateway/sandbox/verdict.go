package sandbox

import (
	"net/http"
	"strings"
	"time"
)

// Outcome is what the sandbox did with a request to send.
type Outcome string

// Every outcome there is. Sent.Delivered says which of those in doubt went out.
const (
	OutcomeAccepted      Outcome = "accepted"        // 201, be it slowly; sent
	OutcomeNoKey         Outcome = "no_key"          // 201 without key; sent
	OutcomeHang          Outcome = "hang"            // no answer; in doubt
	OutcomeReset         Outcome = "reset"           // no answer; in doubt
	OutcomeFault500      Outcome = "fault_500"       // 500; not sent, except that a page in HTML is in doubt
	OutcomeFault429      Outcome = "fault_429"       // 429 by the dice; not sent
	OutcomeLimited       Outcome = "limited"         // 429 by the instance's limit; not sent
	OutcomeInvalid       Outcome = "invalid"         // 400; not sent
	OutcomeNotOnWhatsApp Outcome = "not_on_whatsapp" // 400; not sent
	OutcomeClosed        Outcome = "closed"          // 400; not sent
	OutcomeUnauthorized  Outcome = "unauthorized"    // 401; not sent
	OutcomeMissing       Outcome = "missing"         // 404; not sent
)

// verdict is what is going to become of a request to send.
type verdict struct {
	outcome    Outcome
	delivered  bool
	slow       time.Duration // to wait before answering, or before not answering
	status     int           // of a refusal
	message    any           // of a refusal
	retryAfter time.Duration // of a refusal; 0: not said
}

func refuse(o Outcome, status int, message any) verdict {
	return verdict{outcome: o, status: status, message: message}
}

// decide gives e's verdict: the first reason to refuse it in Evolution's order,
// else what the dice say. The problem is what is wrong with the request.
func (s *Server) decide(f *Faults, r *http.Request, e *sent, problem any) verdict {
	in := e.instance
	if v, refused := s.guard(f, r, in.name); refused {
		return v
	}
	if problem != nil {
		return refuse(OutcomeInvalid, http.StatusBadRequest, problem)
	}
	if s.state(in) != stateOpen {
		return refuse(OutcomeClosed, http.StatusBadRequest, []string{"Error: Connection Closed"})
	}
	if !onWhatsApp(e.jid) {
		return refuse(OutcomeNotOnWhatsApp, http.StatusBadRequest, []absentee{{JID: e.jid, Number: e.number}})
	}
	if after := in.limit.Load().take(); after > 0 {
		v := refuse(OutcomeLimited, http.StatusTooManyRequests, "rate-overlimit")
		v.retryAfter = after
		return v
	}
	return s.misfortune(f)
}

// misfortune rolls the dice once for all send faults, so that each comes as
// often as its rate says and never two together.
func (s *Server) misfortune(f *Faults) verdict {
	well := verdict{outcome: OutcomeAccepted, delivered: true}
	if f.Error500+f.TooMany+f.NoKeyID+f.Hang+f.Reset+f.Slow == 0 {
		return well
	}
	roll := s.dice.roll()
	under := func(rate float64) bool {
		roll -= rate
		return roll < 0
	}
	switch {
	case under(f.Error500): // one of Evolution's 500s that surely come before anything is sent
		return refuse(OutcomeFault500, http.StatusInternalServerError,
			"Cannot read properties of undefined (reading 'onWhatsApp')")
	case under(f.TooMany):
		v := refuse(OutcomeFault429, http.StatusTooManyRequests, "rate-overlimit")
		v.retryAfter = time.Duration(f.RetryAfterSeconds) * time.Second
		return v
	case under(f.NoKeyID):
		return verdict{outcome: OutcomeNoKey, delivered: true}
	case under(f.Hang):
		return verdict{
			outcome:   OutcomeHang,
			delivered: s.dice.hit(f.ResetDelivers),
			slow:      time.Duration(f.HangSeconds) * time.Second,
		}
	case under(f.Reset):
		return verdict{outcome: OutcomeReset, delivered: s.dice.hit(f.ResetDelivers)}
	case under(f.Slow):
		well.slow = s.dice.between(f.SlowMS)
	}
	return well
}

// absentee is how Evolution says that a number has no WhatsApp.
type absentee struct {
	JID    string `json:"jid"`
	Exists bool   `json:"exists"`
	Number string `json:"number"`
}

// What follows the at sign of an address.
const (
	personServer = "@s.whatsapp.net"
	groupServer  = "@g.us"
)

// onWhatsApp reports whether somebody is there. By agreement nobody is behind a
// phone number that ends in 0404.
func onWhatsApp(jid string) bool {
	number, isPerson := strings.CutSuffix(jid, personServer)
	return !isPerson || number != "" && !strings.HasSuffix(number, "0404")
}

// jidOf returns the address of a number as people write it. Evolution asks
// WhatsApp for the true address; here the digits are it, both when somebody is
// written to and when somebody writes, so that a conversation is one chat.
func jidOf(number string) string {
	if number == "" || strings.Contains(number, "@") {
		return number
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
	if len(digits) >= 18 { // longer than any phone number
		return digits + groupServer
	}
	return digits + personServer
}
