package gatewaytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

// heard is a message to us, as the gateway names it.
const heard = "wamid.HBgNheard1"

// attentions are the behaviours of a gateway.Attendant.
func attentions() map[string]func(*testing.T, Gateway) {
	return map[string]func(*testing.T, Gateway){
		"a message that was read is marked once":        marked,
		"marking a message twice is harmless":           markedTwice,
		"somebody sees that an answer is being written": typed,
		"who writes and stops is not in the way":        paused,
		"a mark that nobody takes can be tried again":   unmarked,
		"a mark with a wrong credential may work later": markedByStranger,
		"a mark of no message never works":              markedNothing,
		"a sign is no message":                          silent,
	}
}

func (g Gateway) mark(ctx context.Context, id string) *fault.Error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return fault.Of(g.Sender.MarkRead(ctx, g.Account, Somebody, id))
}

func (g Gateway) show(ctx context.Context, state string) (read bool, failed *fault.Error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	read, err := g.Sender.ShowTyping(ctx, g.Account, gateway.Typing{Chat: Somebody, State: state, For: time.Millisecond, LastHeard: heard})
	return read, fault.Of(err)
}

func marked(t *testing.T, g Gateway) {
	t.Helper()
	if f := g.mark(t.Context(), heard); f != nil {
		t.Error(f)
	}
	if signs := g.Signs(); !slices.Equal(signs, []Sign{{Read: heard}}) {
		t.Errorf("signs = %+v", signs)
	}
}

func markedTwice(t *testing.T, g Gateway) {
	t.Helper()
	for range 2 {
		if f := g.mark(t.Context(), heard); f != nil {
			t.Error(f)
		}
	}
}

// Whether it marks as read too is the gateway's own, and what it says of that true.
func typed(t *testing.T, g Gateway) {
	t.Helper()
	for _, state := range []string{gateway.TypingComposing, gateway.TypingRecording} {
		before := len(g.Signs())
		read, f := g.show(t.Context(), state)
		signs := g.Signs()[before:]
		if f != nil || len(signs) != 1 || !signs[0].Typing || read != (signs[0].Read == heard) {
			t.Errorf("%s: signs = %+v, read %v, %v", state, signs, read, f)
		}
	}
}

func paused(t *testing.T, g Gateway) {
	t.Helper()
	if read, f := g.show(t.Context(), gateway.TypingPaused); f != nil || read {
		t.Errorf("read %v, %v", read, f)
	}
	for _, sign := range g.Signs() {
		if sign.Typing {
			t.Error("who stops is shown as writing")
		}
	}
}

func unmarked(t *testing.T, g Gateway) {
	t.Helper()
	g.Account.BaseURL = "http://127.0.0.1:1"
	if f := g.mark(t.Context(), heard); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("%v, want unavailable", f)
	}
	if _, f := g.show(t.Context(), gateway.TypingComposing); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("%v, want unavailable", f)
	}
}

func markedByStranger(t *testing.T, g Gateway) {
	t.Helper()
	g.Account.Credential = "WRONG-CREDENTIAL-0123456789"
	if f := g.mark(t.Context(), heard); f == nil || f.Kind != fault.Unavailable || len(g.Signs()) > 0 {
		t.Errorf("%v, want unavailable; signs %+v", f, g.Signs())
	}
}

func markedNothing(t *testing.T, g Gateway) {
	t.Helper()
	if f := g.mark(t.Context(), ""); f == nil || f.Kind != fault.Invalid || len(g.Signs()) > 0 {
		t.Errorf("%v, want invalid; signs %+v", f, g.Signs())
	}
}

func silent(t *testing.T, g Gateway) {
	t.Helper()
	if f := g.mark(t.Context(), heard); f != nil {
		t.Error(f)
	}
	if _, f := g.show(t.Context(), gateway.TypingComposing); f != nil {
		t.Error(f)
	}
	g.mustLog(t, 0, 0)
}
