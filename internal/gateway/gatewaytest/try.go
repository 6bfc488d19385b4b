package gatewaytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
)

// send hands a message over, checks what holds of any answer, and waits no longer
// than patience.
func (g Gateway) send(ctx context.Context, t *testing.T, m gateway.Outgoing) gateway.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := g.Sender.Send(ctx, g.Account, m)
	if isAccepted := a.Outcome == gateway.Accepted; isAccepted != (a.MessageID != "") || isAccepted != (a.Code == "") {
		t.Errorf("%+v: an id and no code belong to what was accepted, and to nothing else", a)
	}
	if a.Outcome != gateway.Retry && (a.Scope != gateway.ScopeMessage || a.Slow) {
		t.Errorf("%+v: only what can be tried again has a scope", a)
	}
	g.mustKeepPrivate(t, m, a)
	return a
}

// mustKeepPrivate checks that a reason is one line that tells nothing of whom it
// is not for.
func (g Gateway) mustKeepPrivate(t *testing.T, m gateway.Outgoing, a gateway.Answer) {
	t.Helper()
	number, _, _ := strings.Cut(m.To, "@")
	for _, private := range []string{m.Text, g.Account.Credential.Reveal(), number, "\n"} {
		if private != "" && strings.Contains(a.Code+a.Reason, private) {
			t.Errorf("code %q with reason %q tells %q", a.Code, a.Reason, private)
		}
	}
}

// mustLog checks how many requests came, and how many messages went out.
func (g Gateway) mustLog(t *testing.T, requests, messages int) []Entry {
	t.Helper()
	log, out := g.Log(), 0
	for _, e := range log {
		if e.GatewayID != "" {
			out++
		}
	}
	if len(log) != requests || out != messages {
		t.Fatalf("%d requests and %d messages in the log, want %d and %d: %+v", len(log), out, requests, messages, log)
	}
	return log
}

// await waits until so many requests are in the log.
func (g Gateway) await(t *testing.T, requests int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for len(g.Log()) < requests {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("%d requests in the log, want %d", len(g.Log()), requests)
		}
	}
}
