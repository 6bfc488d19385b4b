// Package gatewaytest is the suite that every dialect must pass: what a
// gateway.Sender promises, tried against a fake of its gateway.
package gatewaytest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
)

// Harness starts a fake gateway that is healthy and has nothing in its log, and
// stops it with the test. It is called once for each behaviour.
type Harness func(t *testing.T) Gateway

// Gateway is a dialect and the fake before it. Its functions may be called
// concurrently.
type Gateway struct {
	Sender  Dialect
	Account gateway.Account
	Types   []string       // the gateway.Type constants that it can send; the others it must refuse
	Log     func() []Entry // every request to send so far, in the order of arrival
	Signs   func() []Sign  // everything else that people were shown, in the order of arrival
	Set     func(Fault)    // makes the fake go wrong from now on
}

// Dialect is what every dialect can do.
type Dialect interface {
	gateway.Sender
	gateway.Attendant
}

// Sign is something that people were shown beside messages, as the fake tells it.
type Sign struct {
	Read   string // the gateway's id of the message that was marked as read; empty if none was
	Typing bool
}

// Entry is one request to send as the fake's log tells it.
type Entry struct {
	gateway.Outgoing        // what it understood; the ID is empty if it is not told our ids
	GatewayID        string // empty exactly if the message did not go out
}

// Fault is how a fake goes wrong.
type Fault int

// What can be asked of a fake. All but Healthy befall every send.
const (
	Healthy   Fault = iota
	Hanging         // the message goes out, and no answer comes
	Resetting       // the message goes out, and the connection breaks instead of an answer
	Failing         // the gateway says that it failed before it sent anything
	Limiting        // the gateway says that this is too fast
)

// By agreement nobody is behind Nobody.
const (
	Somebody = "5215550001001@s.whatsapp.net"
	Nobody   = "5215550000404@s.whatsapp.net"
)

// patience is for anything to happen on a busy machine.
const patience = 20 * time.Second

// Run tries every behaviour, each on a gateway of its own, in parallel.
func Run(t *testing.T, start Harness) {
	t.Helper()
	behaviours := map[string]func(*testing.T, Gateway){
		"an accepted message has an id and is in the log once": accepted,
		"a refused connection is to be tried again":            unreachable,
		"a hang after the request was written is in doubt":     hanging,
		"a broken connection is in doubt":                      resetting,
		"a failure before anything was sent can be retried":    failing,
		"a wrong credential pauses the instance":               unauthorized,
		"an unknown recipient is permanent":                    unknown,
		"a rate limit is retried, and not of the message":      limited,
		"a context that is over sends nothing":                 cancelled,
		"fifty sends at once are fifty messages":               concurrent,
		"the same message twice is two requests":               repeated,
	}
	for name, try := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, start(t))
		})
	}
	for name, try := range attentions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, start(t))
		})
	}
	t.Run("content", func(t *testing.T) {
		t.Parallel()
		contents(t, start)
	})
}

// hello is a text that no gateway's error happens to contain.
func hello() gateway.Outgoing {
	return gateway.Outgoing{ID: "0190-ours", To: Somebody, Type: gateway.TypeText, Text: "¿Mañana a las diez, junto al kiosco?"}
}

func accepted(t *testing.T, g Gateway) {
	t.Helper()
	a := g.send(t.Context(), t, hello())
	log := g.mustLog(t, 1, 1)
	if a.Outcome != gateway.Accepted || a.MessageID != log[0].GatewayID || a.HTTPStatus/100 != 2 {
		t.Errorf("%+v, want accepted as %s", a, log[0].GatewayID)
	}
}

func unreachable(t *testing.T, g Gateway) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(g.Account.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	address.Host = listener.Addr().String()
	if err := listener.Close(); err != nil { // from here on nobody listens there
		t.Fatal(err)
	}
	g.Account.BaseURL = address.String()

	a := g.send(t.Context(), t, hello())
	if a.Outcome != gateway.Retry || a.HTTPStatus != 0 || a.Scope != gateway.ScopeInstance {
		t.Errorf("%+v, want a retry of the whole instance", a)
	}
	g.mustLog(t, 0, 0)
}

// The send ends as soon as its caller loses patience, which is when the log has
// it: so the request was written.
func hanging(t *testing.T, g Gateway) {
	t.Helper()
	g.Set(Hanging)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	answered := make(chan gateway.Answer, 1)
	go func() { answered <- g.send(ctx, t, hello()) }()
	g.await(t, 1)
	giveUp()
	select {
	case a := <-answered:
		if a.Outcome != gateway.InDoubt || a.HTTPStatus != 0 {
			t.Errorf("%+v, want in doubt", a)
		}
	case <-time.After(patience / 2): // which is before its deadline
		t.Error("a cancelled send does not return")
	}
	g.mustLog(t, 1, 1)
}

func resetting(t *testing.T, g Gateway) {
	t.Helper()
	g.Set(Resetting)
	if a := g.send(t.Context(), t, hello()); a.Outcome != gateway.InDoubt {
		t.Errorf("%+v, want in doubt", a)
	}
	g.mustLog(t, 1, 1)
}

func failing(t *testing.T, g Gateway) {
	t.Helper()
	g.Set(Failing)
	if a := g.send(t.Context(), t, hello()); a.Outcome != gateway.Retry {
		t.Errorf("%+v, want a retry", a)
	}
	g.mustLog(t, 1, 0)
	g.Set(Healthy)
	if a := g.send(t.Context(), t, hello()); a.Outcome != gateway.Accepted {
		t.Errorf("%+v, want accepted", a)
	}
	g.mustLog(t, 2, 1)
}

func unauthorized(t *testing.T, g Gateway) {
	t.Helper()
	g.Account.Credential = "WRONG-CREDENTIAL-0123456789"
	if a := g.send(t.Context(), t, hello()); a.Outcome != gateway.Pause {
		t.Errorf("%+v, want a pause", a)
	}
	g.mustLog(t, 1, 0)
}

func unknown(t *testing.T, g Gateway) {
	t.Helper()
	m := hello()
	m.To = Nobody
	if a := g.send(t.Context(), t, m); a.Outcome != gateway.Permanent {
		t.Errorf("%+v, want permanent", a)
	}
	g.mustLog(t, 1, 0)
}

func limited(t *testing.T, g Gateway) {
	t.Helper()
	g.Set(Limiting)
	a := g.send(t.Context(), t, hello())
	if a.Outcome != gateway.Retry || a.Scope == gateway.ScopeMessage || !a.Slow {
		t.Errorf("%+v, want a retry that slows more than the message down", a)
	}
	g.mustLog(t, 1, 0)
}

func cancelled(t *testing.T, g Gateway) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := g.send(ctx, t, hello()); a.Outcome != gateway.Retry {
		t.Errorf("%+v, want a retry", a)
	}
	g.mustLog(t, 0, 0)
}

func concurrent(t *testing.T, g Gateway) {
	t.Helper()
	const sends = 50
	texts := make([]string, sends) // by the place of the send
	answers := make([]gateway.Answer, sends)
	var group sync.WaitGroup
	for i := range sends {
		texts[i] = fmt.Sprintf("Recado número %d de la mañana", i)
		group.Go(func() {
			m := hello()
			m.Text = texts[i]
			answers[i] = g.send(t.Context(), t, m)
		})
	}
	group.Wait()
	said := map[string]string{} // by the gateway's id
	for _, e := range g.mustLog(t, sends, sends) {
		said[e.GatewayID] = e.Text
	}
	for i, a := range answers {
		if a.Outcome != gateway.Accepted || said[a.MessageID] != texts[i] {
			t.Errorf("%q: %+v, and under that id the log has %q", texts[i], a, said[a.MessageID])
		}
	}
}

// No gateway knows a message again, so a Sender must never try twice by itself.
func repeated(t *testing.T, g Gateway) {
	t.Helper()
	first, second := g.send(t.Context(), t, hello()), g.send(t.Context(), t, hello())
	if first.Outcome != gateway.Accepted || second.Outcome != gateway.Accepted || first.MessageID == second.MessageID {
		t.Errorf("%+v and %+v, want two messages", first, second)
	}
	g.mustLog(t, 2, 2)
}
