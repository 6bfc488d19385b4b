package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// following is a tail that runs.
type following struct {
	t     *testing.T
	lines chan string
	stop  func() (status int)
}

func (e environment) tail(t *testing.T, args ...string) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	f := &following{t: t, lines: make(chan string, 100)}
	ended := make(chan int, 1)
	go func() {
		status := run(ctx, append([]string{"msgorch", "tail"}, args...), func(n string) string { return e[n] }, strings.NewReader(""), in, io.Discard)
		_ = in.Close()
		ended <- status
	}()
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	f.stop = func() int { cancel(); return <-ended }
	t.Cleanup(cancel)
	return f
}

func (f *following) next() string {
	f.t.Helper()
	select {
	case line := <-f.lines:
		return line
	case <-time.After(time.Minute):
		f.t.Fatal("tail says nothing")
		return ""
	}
}

// begun waits until tail looks, which it does not say: the messages of probe
// are new from then on.
func (f *following) begun(probe func()) {
	f.t.Helper()
	for {
		probe()
		select {
		case <-f.lines:
			for {
				select {
				case <-f.lines: // more probes
				case <-time.After(3 * tailInterval):
					return
				}
			}
		case <-time.After(2 * tailInterval):
		}
	}
}

func TestTailTellsWhatIsNewAndWhatMoves(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	env.send(t, "before")
	f := env.tail(t, "-o", "json", "--chat", "+5215550000001")
	f.begun(func() { env.send(t, "probe") })

	m := env.send(t, "hunter2")
	var moves []string
	see := func() {
		t.Helper()
		var got move
		line := f.next()
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.ID != m.ID || strings.Contains(line, "hunter2") {
			t.Fatalf("line %s, %v; want one about %s without its text", line, err, m.ID)
		}
		moves = append(moves, got.Status)
	}
	see()
	for _, status := range []string{"accepted", "delivered", "read"} {
		env.reach(t, m.ID.String(), status, "")
		see()
	}
	if diff := cmp.Diff([]string{"queued", "accepted", "delivered", "read"}, moves); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
	if status := f.stop(); status != exitOK {
		t.Errorf("Ctrl-C gives status %d", status)
	}
}

func TestTailShowsTextsWhenAsked(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	f := env.tail(t, "--text", "--instance", "sales")
	f.begun(func() { env.send(t, "probe") })
	env.send(t, "¿Qué\x1b[31m tal?")
	if line := f.next(); !strings.HasSuffix(line, "→ sales  5215550000001@s.whatsapp.net  queued  ¿Qué[31m tal?") {
		t.Errorf("line %q", line)
	}
	f.stop()
}
