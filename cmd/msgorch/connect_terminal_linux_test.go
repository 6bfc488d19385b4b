package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"rsc.io/qr"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

// terminal is one of 100 columns that nobody looks at.
type terminal struct {
	*os.File // its inside, for a program

	mu   sync.Mutex
	seen bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	fd := int(outside.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	inside, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term, over := &terminal{File: inside}, make(chan struct{})
	go func() {
		defer close(over)
		part := make([]byte, 4096)
		for {
			n, err := outside.Read(part)
			term.mu.Lock()
			term.seen.Write(part[:n])
			term.mu.Unlock()
			if err != nil { // the inside is closed
				return
			}
		}
	}()
	t.Cleanup(func() { _ = inside.Close(); <-over; _ = outside.Close() })
	return term
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// connect runs the command on the terminal; its exit status comes on the channel.
func (t *terminal) connect(ctx context.Context, env environment, args ...string) <-chan int {
	done := make(chan int, 1)
	go func() {
		args := append([]string{"msgorch", "instances", "connect", "sales"}, args...)
		done <- run(ctx, args, func(name string) string { return env[name] }, strings.NewReader(""), t.File, t.File)
	}()
	return done
}

func TestATerminalShowsTheCodeAndTakesItAway(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	term := newTerminal(t)
	done := term.connect(t.Context(), g.environment(withKey(t)))
	await(t, "a code is drawn", func() bool { return strings.Contains(term.text(), "▀") })
	g.act("rotate")
	await(t, "the next one is drawn over it", func() bool { return strings.Count(term.text(), "scan this") == 2 })
	g.act("scan")
	if status := <-done; status != exitOK {
		t.Fatalf("exit status %d: %s", status, term.text())
	}
	await(t, "it says whose number it is", func() bool { return strings.Contains(term.text(), "sales is connected: +5215550009000") })
	text := term.text()
	if strings.Count(text, "\x1b[J") != 2 || strings.LastIndex(text, "▀") > strings.LastIndex(text, "\x1b[J") {
		t.Error("a code is left on the screen")
	}
}

func TestATerminalShowsTheCodeToType(t *testing.T) {
	t.Parallel()
	g := newServer(t, sandbox.Options{})
	term := newTerminal(t)
	done := term.connect(t.Context(), g.environment(withKey(t)), "--number", "+5215550009000")
	await(t, "it says what to type", func() bool { return strings.Contains(term.text(), "Link with phone number instead; type") })
	g.act("scan")
	if status := <-done; status != exitOK {
		t.Fatalf("exit status %d: %s", status, term.text())
	}
}

func TestADrawnCodeIsTheCode(t *testing.T) {
	t.Parallel()
	const text = "2@SYNTHETIC,text,as,long,as,a,real,one/with+signs=="
	lines, err := drawQR(text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range lines {
		_, line, _ = strings.Cut(strings.TrimSuffix(line, "\x1b[0m"), "m")
		for x, r := range []rune(line) {
			top, bottom := r == '█' || r == '▀', r == '█' || r == '▄'
			if y := 2*n - quiet; top != want.Black(x-quiet, y) || bottom != want.Black(x-quiet, y+1) {
				t.Fatalf("line %d, column %d is %c", n, x, r)
			}
		}
	}
}
