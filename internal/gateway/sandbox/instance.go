package sandbox

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// What every account of the fake WhatsApp has in common.
const (
	ownJID       = "5215550009000@s.whatsapp.net"
	ownName      = "Sandbox"
	integration  = "WHATSAPP-BAILEYS"
	sandboxToken = "SANDBOX-INSTANCE-TOKEN" // the apikey of webhooks when Options.APIKey is empty
)

// instance is one account. It exists as soon as somebody names it, and is open
// then, unless it was made by a call: then it must be scanned.
type instance struct {
	name    string
	id      string // derived from the name, so the same after a restart
	created atomic.Bool
	hook    atomic.Pointer[hook]  // its own webhook; nil: the server's
	limit   atomic.Pointer[limit] // nil: none
	session session
	habits  atomic.Pointer[habits] // nil: those of a new one
}

// instances are all that were ever named.
type instances struct {
	mu     sync.RWMutex
	byName map[string]*instance
}

// find returns an instance that was named before; nil if it was not.
func (is *instances) find(name string) *instance {
	is.mu.RLock()
	defer is.mu.RUnlock()
	return is.byName[name]
}

func (is *instances) get(name string) *instance {
	if in := is.find(name); in != nil {
		return in
	}

	is.mu.Lock()
	defer is.mu.Unlock()
	if in := is.byName[name]; in != nil {
		return in
	}
	if is.byName == nil {
		is.byName = make(map[string]*instance)
	}
	name = strings.Clone(name) // it may be part of a longer URL
	in := &instance{name: name, id: uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()}
	is.byName[name] = in
	return in
}

// all returns the instances by name.
func (is *instances) all() []*instance {
	is.mu.RLock()
	defer is.mu.RUnlock()
	list := make([]*instance, 0, len(is.byName))
	for _, in := range is.byName {
		list = append(list, in)
	}
	slices.SortFunc(list, func(a, b *instance) int { return cmp.Compare(a.name, b.name) })
	return list
}

// guard says whether calls for an instance are turned away before anything
// else is looked at. Evolution misses the instance before it checks the key.
func (s *Server) guard(f *Faults, r *http.Request, name string) (verdict, bool) {
	if slices.Contains(f.MissingInstances, name) {
		message := []string{fmt.Sprintf("The %q instance does not exist", name)}
		return refuse(OutcomeMissing, http.StatusNotFound, message), true
	}
	if slices.Contains(f.UnauthorizedInstances, name) || !s.keyFits(r, s.instances.find(name)) {
		return refuse(OutcomeUnauthorized, http.StatusUnauthorized, "Unauthorized"), true
	}
	return verdict{}, false
}

// keyFits reports whether a call shows the server's key, or that of the instance
// it is about; nil: about none.
func (s *Server) keyFits(r *http.Request, in *instance) bool {
	shows := func(key string) bool {
		return subtle.ConstantTimeCompare([]byte(r.Header.Get("apikey")), []byte(key)) == 1
	}
	global := s.opts.APIKey.Reveal()
	return global == "" || shows(global) || in != nil && in.created.Load() && shows(s.token(in))
}

// guarded wraps a gateway call that is about one instance.
func (s *Server) guarded(next func(http.ResponseWriter, *http.Request, *instance)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("instance")
		if no, refused := s.guard(s.faults.Load(), r, name); refused {
			writeRefusal(w, no.status, no.message)
			return
		}
		next(w, r, s.instances.get(name))
	}
}

// readCall decodes the body of a gateway call other than a send. Evolution
// ignores fields that it does not know.
func readCall(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(v)
	if err != nil && !errors.Is(err, io.EOF) { // an empty body asks for nothing in particular
		writeRefusal(w, http.StatusBadRequest, []string{explain(err).Error()})
		return false
	}
	return true
}

func (s *Server) closedByFault(in *instance) bool {
	return slices.Contains(s.faults.Load().ClosedInstances, in.name)
}

func (s *Server) state(in *instance) string {
	if s.closedByFault(in) {
		return stateClose
	}
	return in.session.now()
}

func (s *Server) connectionState(w http.ResponseWriter, _ *http.Request, in *instance) {
	type state struct {
		Name  string `json:"instanceName"`
		State string `json:"state"`
	}
	writeJSON(w, http.StatusOK, map[string]state{"instance": {in.name, s.state(in)}})
}

// account is an instance as fetchInstances shows it.
type account struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Status      string  `json:"connectionStatus"`
	OwnerJID    *string `json:"ownerJid"`
	ProfileName *string `json:"profileName"`
	Integration string  `json:"integration"`
	Token       string  `json:"token"`
	Setting     habits  `json:"Setting"`
}

func (s *Server) accountOf(in *instance) account {
	a := account{
		ID: in.id, Name: in.name, Status: s.state(in), Integration: integration, Token: s.token(in), Setting: in.manners(),
	}
	if a.Status == stateOpen || !in.created.Load() {
		a.OwnerJID, a.ProfileName = new(ownJID), new(ownName)
	}
	return a
}

// fetchInstances shows the instances that the key may see: all, or its own.
func (s *Server) fetchInstances(w http.ResponseWriter, r *http.Request) {
	f, name := s.faults.Load(), r.URL.Query().Get("instanceName")
	if no, refused := s.guard(f, r, name); refused {
		writeRefusal(w, no.status, no.message)
		return
	}
	list := s.instances.all()
	if name != "" {
		in := s.instances.find(name)
		if in == nil {
			writeRefusal(w, http.StatusNotFound, []string{fmt.Sprintf("Instance %q not found", name)})
			return
		}
		list = []*instance{in}
	}
	accounts := []account{}
	for _, in := range list {
		if !slices.Contains(f.MissingInstances, in.name) {
			accounts = append(accounts, s.accountOf(in))
		}
	}
	writeJSON(w, http.StatusOK, accounts)
}

func (s *Server) createInstance(w http.ResponseWriter, r *http.Request) {
	if !s.keyFits(r, nil) {
		writeRefusal(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	var call struct {
		Name string    `json:"instanceName"`
		Hook *hookCall `json:"webhook"`
	}
	if !readCall(w, r, &call) {
		return
	}
	if call.Name == "" {
		writeRefusal(w, http.StatusBadRequest, [][]string{{`instance requires property "instanceName"`}})
		return
	}
	in := s.instances.get(call.Name)
	if !in.created.CompareAndSwap(false, true) {
		writeRefusal(w, http.StatusForbidden, []string{fmt.Sprintf("This name %q is already in use.", call.Name)})
		return
	}
	in.session.set(stateClose)
	if call.Hook != nil && call.Hook.URL != "" {
		call.Hook.Enabled = true // here, unlike in webhook/set, an address is enough
		in.hook.Store(call.Hook.hook())
	}
	writeJSON(w, http.StatusCreated, map[string]any{
		"instance": map[string]string{
			"instanceName": in.name,
			"instanceId":   in.id,
			"integration":  integration,
			"status":       s.state(in),
		},
		"hash": s.token(in),
	})
}

// token is the credential of an instance, which its webhooks carry, as the real
// ones do: its own if it was made by a call, else the server's.
func (s *Server) token(in *instance) string {
	if in != nil && in.created.Load() {
		return strings.ToUpper(uuid.NewSHA1(uuid.NameSpaceURL, []byte("token "+in.name)).String())
	}
	return cmp.Or(s.opts.APIKey.Reveal(), sandboxToken)
}
