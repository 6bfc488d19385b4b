package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

const (
	// lookEvery is how often the gateway is asked how far it is. A code lives for
	// 20 seconds.
	lookEvery = time.Second
	// restartTurns is for how many turns a session may be closed after a code was
	// shown: WhatsApp has it begin again right after the scan, which must not be
	// disturbed.
	restartTurns = 15
)

// errRanOut means that all codes went by.
var errRanOut = errors.New("all codes went by and nobody scanned one in time; the same command begins anew")

// link has the instance's number connected, and returns the last state seen. A
// number that is connected is left alone.
func (s *connection) link(ctx context.Context) (state string, err error) {
	if s.there.State == gateway.ConnectionOpen || s.order.timeout == 0 {
		return s.there.State, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.order.timeout, fmt.Errorf("nobody connected it within %v; the same command goes on", s.order.timeout))
	defer cancel()
	w := &showing{connection: s}
	defer w.end()
	if !w.shows() {
		s.note("%s must be scanned: on a terminal, with --qr-file, or in the console", s.name)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for state = s.there.State; ; {
		now, err := w.turn(ctx)
		switch {
		case err == nil:
			state = now
		case ctx.Err() != nil:
			return state, context.Cause(ctx)
		case errors.Is(err, errRanOut) || fault.Of(err).Kind != fault.Unavailable: // else it may be back in a moment
			return state, err
		}
		if state == gateway.ConnectionOpen {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// showing is a code on its way to whoever scans it.
type showing struct {
	*connection
	shown  string // what the person sees now
	lines  int    // of the terminal that it takes
	closed int    // turns since the session was last seen on its way
	begun  bool
}

// shows reports whether there is anybody to show a code to.
func (w *showing) shows() bool { return w.order.file != "" || w.onTerminal() }

// turn looks once how far the session is, and does what comes next.
func (w *showing) turn(ctx context.Context) (state string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if state, err = w.admin.State(ctx, w.at); err != nil || state == gateway.ConnectionOpen || !w.shows() {
		return state, err
	}
	if state == "connecting" {
		w.closed = 0
	} else if w.begun {
		if w.closed++; state == "refused" {
			return state, errRanOut
		}
		if w.closed < restartTurns {
			return state, nil
		}
		w.closed = 0
	}
	l, err := w.admin.Link(ctx, w.at, w.order.number)
	if err != nil {
		return state, err
	}
	w.begun = true
	if l.QR.Exhausted {
		return state, errRanOut
	}
	return l.State, w.show(l.QR)
}

// show puts a code in the place of the one before.
func (w *showing) show(q gateway.QR) error {
	code := q.Code.Reveal()
	if q.PairingCode != "" {
		code = q.PairingCode.Reveal()
	}
	if code == "" || code == w.shown {
		return nil
	}
	if w.order.file != "" && q.Code != "" {
		if err := writeQR(w.order.file, q.Code.Reveal()); err != nil {
			return fault.New(fault.Invalid, "qr_file", "The code cannot be written to --qr-file.").Because(err)
		}
	}
	w.shown = code
	if !w.onTerminal() {
		return nil
	}
	if q.PairingCode != "" {
		w.draw([]string{"", "On the phone: Linked devices, Link a device, Link with phone number instead; type", "", "    " + printable(code), ""})
		return nil
	}
	lines, err := drawQR(code)
	if err != nil {
		return fault.New(fault.Invalid, "qr_unusable", "The gateway gave a code that does not fit into a picture.")
	}
	w.draw(append([]string{"", "On the phone: Linked devices, Link a device; scan this. It changes every 20 seconds or so.", ""}, lines...))
	return nil
}

// draw writes lines over those of the last time.
func (w *showing) draw(lines []string) {
	w.erase()
	w.say("%s\n", strings.Join(lines, "\n"))
	w.lines = len(lines)
}

func (w *showing) erase() {
	if w.lines > 0 {
		w.say("\x1b[%dA\x1b[J", w.lines) // up, and clear what is below
	}
	w.lines = 0
}

// end takes the code away: it is a secret, and of no use any more.
func (w *showing) end() {
	w.erase()
	if w.order.file != "" && w.shown != "" {
		_ = os.Remove(w.order.file)
	}
}

// writeQR writes a code as a picture that only its owner can read, all at once,
// as a viewer may be looking.
func writeQR(name, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	part := name + ".part"
	if err := os.WriteFile(part, code.PNG(), 0o600); err != nil {
		return err
	}
	return os.Rename(part, name)
}

// report tells what came of it.
func (s *connection) report(ctx context.Context, state string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if there, err := s.admin.Find(ctx, s.at); err == nil && there != nil {
		s.there = *there
	}
	if settings, err := s.admin.Settings(ctx, s.at); err == nil {
		s.there.Settings = settings
	}
	if len(s.changed) > 0 {
		if err := db.New(s.pool).LookAfter(ctx, s.name); err != nil { // messages may have waited for it
			return fmt.Errorf("wake the workers: %w", err)
		}
	}
	out := connected{Name: s.name, Connection: firstOf(state, "unknown"), Number: s.there.Number, Changed: s.changed, Warnings: advice(s.version, s.there)}
	if out.Connection != gateway.ConnectionOpen {
		out.Number = ""
	}
	return s.print(out, func() { s.sayConnected(out) })
}

func (s *connection) sayConnected(c connected) {
	for _, w := range c.Warnings {
		s.say("  ! %s\n", w)
	}
	switch {
	case c.Connection != gateway.ConnectionOpen:
		s.say("%s is set up; its session is %s.\n", s.name, printable(c.Connection))
	case c.Number != "":
		s.say("%s is connected: +%s\n", s.name, c.Number)
	default:
		s.say("%s is connected.\n", s.name)
	}
}
