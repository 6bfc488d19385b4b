package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"rsc.io/qr"
)

// The states of a session, as Evolution names them.
const (
	stateOpen       = "open"
	stateClose      = "close"
	stateConnecting = "connecting"
	stateRefused    = "refused"
)

// How long a code can be scanned, and how many there are before the session is
// given up.
const (
	codeLife  = 20 * time.Second
	codeLimit = 30
)

// session is an instance's connection to the fake WhatsApp. One that was created
// by a call must be scanned as a real one; one that was only named is open. The
// zero session is open.
type session struct {
	mu      sync.Mutex
	state   string // empty: open
	begun   int    // how many times it was begun
	since   time.Time
	skipped int    // codes that were rotated by hand
	number  string // that asked for a pairing code; empty if none
}

func (s *session) now() (state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, _ = s.look()
	return state
}

// look returns the state, and the number of the code that can be scanned, from 1.
func (s *session) look() (state string, code int) {
	if s.state != stateConnecting {
		if s.state == "" {
			return stateOpen, 0
		}
		return s.state, 0
	}
	code = 1 + s.skipped + int(time.Since(s.since)/codeLife)
	if code > codeLimit {
		s.state = stateRefused
		return s.state, 0
	}
	return s.state, code
}

func (s *session) set(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// begin shows codes, unless the session is open or shows some already.
func (s *session) begin(number string) (state string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, code = s.look(); state == stateOpen || state == stateConnecting {
		return state, code
	}
	s.state, s.since, s.skipped, s.number = stateConnecting, time.Now(), 0, number
	s.begun++
	return s.look()
}

// skip has the present code end before its time.
func (s *session) skip(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipped += n
}

// code is what instance/connect shows.
type code struct {
	PairingCode *string `json:"pairingCode"`
	Code        string  `json:"code"`
	Base64      string  `json:"base64"`
	Count       int     `json:"count"`
}

// codeOf returns an instance's code of a number, which nobody can guess who does
// not know the instance, and is as long as a real one.
func (in *instance) codeOf(n int) code {
	in.session.mu.Lock()
	begun, number := in.session.begun, in.session.number
	in.session.mu.Unlock()
	part := func(name string) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", in.id, begun, n, name))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	c := code{Code: "2@" + part("ref") + part("more") + "," + part("noise") + "," + part("identity") + "," + part("secret"), Count: n}
	if picture, err := qr.Encode(c.Code, qr.L); err == nil { // it always fits
		c.Base64 = "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.PNG())
	}
	if number != "" {
		c.PairingCode = new(strings.ToUpper(strings.NewReplacer("+", "A", "/", "B").Replace(part("pairing")[:8])))
	}
	return c
}

// connect begins a session, or shows how far it is.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, in *instance) {
	if s.state(in) == stateClose && s.closedByFault(in) {
		writeJSON(w, http.StatusOK, map[string]any{"error": true, "message": "Error: Connection Closed"})
		return
	}
	state, n := in.session.begin(r.URL.Query().Get("number"))
	if state == stateConnecting {
		writeJSON(w, http.StatusOK, in.codeOf(n))
		return
	}
	s.connectionState(w, r, in)
}

// act has a person do something about an instance's session: scan its code, let
// it go by for the next (rotate) or for good (expire), or log out on the phone.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Instance string `json:"instance"`
		Do       string `json:"do"`
	}
	if err := readStrict(w, r, &call); err != nil {
		writeError(w, err)
		return
	}
	in := s.instances.find(call.Instance)
	if in == nil {
		writeError(w, wrong("instance", "is not known"))
		return
	}
	state := in.session.now()
	switch {
	case call.Do == "logout":
		in.session.set(stateClose)
		s.push(&event{kind: eventConnection, instance: in, status: stateClose})
	case call.Do != "scan" && call.Do != "rotate" && call.Do != "expire":
		writeError(w, wrong("do", "must be scan, rotate, expire or logout"))
		return
	case state != stateConnecting:
		writeError(w, wrong("instance", "shows no code, it is %s", state))
		return
	case call.Do == "scan":
		in.session.set(stateOpen)
		s.push(&event{kind: eventConnection, instance: in, status: stateOpen})
	case call.Do == "rotate":
		in.session.skip(1)
	case call.Do == "expire":
		in.session.skip(codeLimit)
	}
	writeJSON(w, http.StatusOK, map[string]string{"instance": in.name, "state": in.session.now()})
}
