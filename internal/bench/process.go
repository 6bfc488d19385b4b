package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is one of the programs that are measured.
type process struct {
	name    string
	cmd     *exec.Cmd
	base    string // of its listener
	metrics string // URL of its metrics; empty: none
	said    *tailBuffer
	done    chan struct{}
}

// command says how to start a process.
type command struct {
	name    string
	argv    []string
	env     []string
	addr    string // where it listens
	metrics string
}

// start starts a process and waits until it answers.
func start(ctx context.Context, c command) (*process, error) {
	p := &process{name: c.name, base: "http://" + c.addr, metrics: c.metrics, said: &tailBuffer{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, c.argv[0], c.argv[1:]...) //nolint:gosec // ours
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = c.env, p.said, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // what it said tells why it ended
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := get(ctx, p.base+"/livez"); err == nil {
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended: %s", c.name, p.said)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("%s does not answer: %s", c.name, p.said)
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process and waits for that.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tailBuffer keeps the end of what was written.
type tailBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (t *tailBuffer) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - 4096; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

// String returns what is kept.
func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// freeAddr returns an address on loopback that nobody listens on. It is none of
// those that Linux gives to connections, or one might have it by the time that a
// process wants to listen there.
func freeAddr(ctx context.Context) (addr string, err error) {
	const first, ports, tries = 20_000, 10_000, 100
	for range tries {
		var ln net.Listener
		addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(ports)))
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err == nil {
			_ = ln.Close()
			return addr, nil
		}
	}
	return "", err
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return body, err
}
