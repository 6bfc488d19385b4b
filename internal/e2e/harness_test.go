// Package e2e tests the programs as they are run: the real binaries, real
// PostgreSQL and Redis, and the sandbox as the gateway.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

const (
	apiToken     = "e2e-api-token-0123456789"
	webhookToken = "e2e-webhook-token-0123456789"
	gatewayKey   = "e2e-gateway-key"
	patience     = 90 * time.Second // for anything to happen on a busy machine
)

// programs are built once for all tests.
var programs = sync.OnceValues(build) //nolint:gochecknoglobals // shared by all tests of the package

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil && dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func build() (string, error) {
	if testing.Short() {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "msgorch-e2e-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/api", "../../cmd/worker", "../../cmd/msgorch").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, nil
}

// system is a whole MsgOrch with a sandbox behind it.
type system struct {
	tb       testing.TB
	env      []string
	database string
	redis    string
	gateway  *sandbox.Server
	sandbox  string // its address
	api      *process
	workers  []*process
}

// options of a system; the zero value has one worker and webhooks.
type options struct {
	workers   int
	env       []string // of every program
	quiet     bool     // the sandbox posts no webhooks
	gateway   string   // EVOLUTION_BASE_URL instead of the sandbox's
	noWorkers bool
}

func start(tb testing.TB, o options) *system {
	tb.Helper()
	s := &system{tb: tb, database: testenv.Postgres(tb), redis: testenv.Redis(tb)}
	s.gateway = sandbox.New(sandbox.Options{APIKey: gatewayKey, Seed: 1})
	s.sandbox = serve(tb, s.gateway)
	base := s.sandbox
	if o.gateway != "" {
		base = o.gateway
	}
	s.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tb.TempDir(),
		"DATABASE_URL=" + s.database, "REDIS_URL=" + s.redis,
		"LISTEN_PORT=0", "ADMIN_ADDR=127.0.0.1:0", "WORKER_ADDR=127.0.0.1:0",
		"API_TOKEN=" + apiToken, "WEBHOOK_TOKEN=" + webhookToken,
		"EVOLUTION_BASE_URL=" + base, "EVOLUTION_API_KEY=" + gatewayKey, "ALLOW_PRIVATE_TARGETS=true",
		"MEDIA_STORE=" + tb.TempDir(),
		"SECRET_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "LOG_FORMAT=json", "LOG_LEVEL=info",
	}, o.env...)
	s.startAPI()
	if !o.quiet {
		s.gateway.SetWebhook(s.api.addr["public"]+"/webhooks/evolution", webhookToken)
	}
	if o.noWorkers {
		return s
	}
	for range max(o.workers, 1) {
		s.startWorker()
	}
	return s
}

// serve runs a gateway and returns its address.
func serve(tb testing.TB, g *sandbox.Server) string {
	tb.Helper()
	srv := httptest.NewServer(g)
	tb.Cleanup(func() { g.Close(); srv.Close() })
	return srv.URL
}

func (s *system) startAPI(env ...string) *process {
	s.tb.Helper()
	s.api = run(s.tb, "api", append(s.env, env...))
	s.api.await("api.listening", "listener", "public", "operator")
	return s.api
}

func (s *system) startWorker(env ...string) *process {
	s.tb.Helper()
	p := run(s.tb, "worker", append(s.env, env...))
	p.await("worker.listening", "", "")
	p.awaitLine("worker.started")
	s.workers = append(s.workers, p)
	return p
}

// instance makes an instance behind the system's gateway.
func (s *system) instance(name string) {
	s.tb.Helper()
	if status, body := s.call(http.MethodPut, "/v1/instances/"+name, map[string]any{"gateway": "evolution"}); status != http.StatusCreated {
		s.tb.Fatalf("make instance: %d %v", status, body)
	}
}

// send accepts a text and returns the message.
func (s *system) send(instance, to, text string) map[string]any {
	s.tb.Helper()
	status, body := s.call(http.MethodPost, "/v1/messages", map[string]any{"instance": instance, "to": to, "text": text})
	if status != http.StatusAccepted {
		s.tb.Fatalf("send: %d %v", status, body)
	}
	return body
}

// message returns a message with its history and attempts.
func (s *system) message(id any) map[string]any {
	s.tb.Helper()
	status, body := s.call(http.MethodGet, fmt.Sprintf("/v1/messages/%v", id), nil)
	if status != http.StatusOK {
		s.tb.Fatalf("get message: %d %v", status, body)
	}
	return body
}

// list returns the data of a list.
func (s *system) list(path string) []map[string]any {
	s.tb.Helper()
	status, body := s.call(http.MethodGet, path, nil)
	if status != http.StatusOK {
		s.tb.Fatalf("list %s: %d %v", path, status, body)
	}
	rows, _ := body["data"].([]any)
	out := make([]map[string]any, len(rows))
	for i, r := range rows {
		out[i], _ = r.(map[string]any)
	}
	return out
}

// awaitStatus waits until a message has one of the statuses and returns it.
func (s *system) awaitStatus(id any, statuses ...string) map[string]any {
	s.tb.Helper()
	var m map[string]any
	eventually(s.tb, fmt.Sprintf("message is one of %v", statuses), func() bool {
		m = s.message(id)
		for _, want := range statuses {
			if m["status"] == want || want == "accepted" && m["delivered_at"] != nil { // a report may be quicker than this test
				return true
			}
		}
		return false
	})
	return m
}

// awaitDoubt waits until a message is, or has been, in doubt: that may be over
// within milliseconds.
func (s *system) awaitDoubt(id any) {
	s.tb.Helper()
	eventually(s.tb, "message has been in doubt", func() bool {
		steps, err := json.Marshal(s.message(id)["history"])
		return err == nil && strings.Contains(string(steps), `"unknown"`)
	})
}

func (s *system) call(method, path string, body any) (int, map[string]any) {
	s.tb.Helper()
	status, _, answer := s.request(method, path, body, http.Header{"Authorization": {"Bearer " + apiToken}})
	return status, answer
}

// request calls the public API. A body of bytes is sent as it is.
func (s *system) request(method, path string, body any, headers http.Header) (int, http.Header, map[string]any) {
	s.tb.Helper()
	return request(s.tb, method, s.api.addr["public"]+path, body, headers)
}

func request(tb testing.TB, method, url string, body any, headers http.Header) (int, http.Header, map[string]any) {
	tb.Helper()
	var reader io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			tb.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	maps.Copy(req.Header, headers)
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // a test's own calls
	if err != nil {
		tb.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(raw, &answer) // not every answer is an object
	return resp.StatusCode, resp.Header, answer
}

// webhook posts an event as the gateway does.
func (s *system) webhook(path string, body []byte) (int, map[string]any) {
	s.tb.Helper()
	status, _, answer := s.request(http.MethodPost, path, body, http.Header{"Authorization": {"Bearer " + webhookToken}})
	return status, answer
}

// eventually waits until ok, looking often.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited %s and still not: %s", patience, what)
		}
	}
}

// process is a running program.
type process struct {
	tb   testing.TB
	name string
	cmd  *exec.Cmd
	addr map[string]string // by listener
	done chan struct{}

	mu    sync.Mutex
	lines []map[string]any
	raw   bytes.Buffer
	more  chan struct{} // closed and replaced when a line comes
}

func run(tb testing.TB, name string, env []string) *process {
	tb.Helper()
	dir, err := programs()
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{tb: tb, name: name, addr: map[string]string{}, done: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(dir, name))
	p.cmd.Env, p.cmd.Dir = env, tb.TempDir()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go p.read(stderr)
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if tb.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			tb.Logf("%s said:\n%s", name, tail(p.raw.String()))
		}
	})
	return p
}

func tail(s string) string {
	if len(s) > 8000 {
		return "…" + s[len(s)-8000:]
	}
	return s
}

func (p *process) read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		_ = json.Unmarshal(scanner.Bytes(), &line) // a panic is no JSON
		p.mu.Lock()
		p.lines = append(p.lines, line)
		p.raw.Write(append(scanner.Bytes(), '\n'))
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
	close(p.done)
}

// awaitLine waits for a log line with this message and returns it.
func (p *process) awaitLine(msg string) map[string]any {
	p.tb.Helper()
	return p.awaitWhere(msg, func(map[string]any) bool { return true })
}

func (p *process) awaitWhere(msg string, ok func(map[string]any) bool) map[string]any {
	p.tb.Helper()
	deadline := time.After(patience)
	for seen := 0; ; {
		p.mu.Lock()
		lines, more := p.lines[seen:], p.more
		seen = len(p.lines)
		p.mu.Unlock()
		for _, l := range lines {
			if l["msg"] == msg && ok(l) {
				return l
			}
		}
		select {
		case <-more:
		case <-p.done:
			p.tb.Fatalf("%s ended before it said %s", p.name, msg)
		case <-deadline:
			p.tb.Fatalf("%s did not say %s", p.name, msg)
		}
	}
}

// await learns the addresses that the program listens on.
func (p *process) await(msg, key string, names ...string) {
	p.tb.Helper()
	for _, name := range names {
		l := p.awaitWhere(msg, func(l map[string]any) bool { return key == "" || l[key] == name })
		p.addr[name] = fmt.Sprintf("http://%v", l["addr"])
	}
}

// output is all that the program has written.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.String()
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop() int {
	p.tb.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait()
}

func (p *process) wait() int {
	p.tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.tb.Fatalf("%s did not end", p.name)
		return -1
	}
}

// corpus reads the synthetic payloads of a folder by name.
func corpus(tb testing.TB, folder string) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("..", "gateway", "testdata", "corpus", folder, "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no corpus in %s: %v", folder, err)
	}
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".json")] = b
	}
	return out
}
