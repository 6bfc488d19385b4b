package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// programs builds everything that `up` starts.
func programs(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", folder+string(filepath.Separator), ".", "../api", "../worker").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return folder
}

// started is `up` in a process of its own.
type started struct {
	cmd    *exec.Cmd
	urls   urls
	folder string // where it runs
	log    *os.File
}

// start runs `up` on ports that are free and waits until it says that it is up.
func start(t *testing.T, bin string, env environment, args ...string) *started {
	t.Helper()
	s := &started{folder: t.TempDir()}
	s.cmd = exec.Command(filepath.Join(bin, "msgorch"), append([]string{"up", "-o", "json"}, args...)...)
	s.cmd.Dir = s.folder
	for name, value := range env.and("LISTEN_PORT", "0").and("ADMIN_ADDR", "127.0.0.1:0").and("WORKER_ADDR", "127.0.0.1:0").and("SANDBOX_ADDR", "127.0.0.1:0") {
		s.cmd.Env = append(s.cmd.Env, name+"="+value)
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.folder, "log")); err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait(); _ = s.log.Close() })
	if err := json.NewDecoder(stdout).Decode(&s.urls); err != nil {
		t.Fatalf("up did not come up: %v\n%s", err, s.said(t))
	}
	return s
}

func (s *started) said(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// end waits for `up` and returns its exit status.
func (s *started) end(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(40*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	err := s.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// children returns the processes of a program that `up` has started, by the
// folder they run in.
func (s *started) children(t *testing.T, program string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("only where there is /proc")
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if cwd == s.folder && strings.Contains(filepath.Base(exe), program) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// gone waits until no process of this `up` is left.
func (s *started) gone(t *testing.T) {
	t.Helper()
	if !eventually(t, func() bool { return len(s.children(t, "")) == 0 }) {
		t.Errorf("processes are left: %v", s.children(t, ""))
	}
}

func eventually(t *testing.T, is func() bool) bool {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if is() {
			return true
		}
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
}

// call makes a request as the printed curl does.
func (s *started) call(t *testing.T, method, url, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.urls.Token)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s answers %s: %s, %v", method, url, resp.Status, answer, err)
	}
	return string(answer)
}

func TestUp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: needs real servers")
	}
	bin := programs(t)
	t.Run("brings messages there and back and stops with Ctrl-C", func(t *testing.T) {
		t.Parallel()
		testEndToEnd(t, bin)
	})
	t.Run("stops everything when a program ends", func(t *testing.T) {
		t.Parallel()
		testProgramEnds(t, bin)
	})
	t.Run("leaves nothing behind when it is killed", func(t *testing.T) {
		t.Parallel()
		testKilled(t, bin)
	})
}

func testEndToEnd(t *testing.T, bin string) {
	t.Helper()
	s := start(t, bin, servers(t), "--workers", "2")

	s.call(t, http.MethodPost, s.urls.API+"/v1/messages", `{"instance":"demo","to":"+5215550000001","text":"Hola"}`)
	s.call(t, http.MethodPost, s.urls.Sandbox+"/sandbox/inbound", `{"instance":"demo","from":"+5215550000002","text":"¿Qué tal?"}`)
	var list string
	if !eventually(t, func() bool {
		list = s.call(t, http.MethodGet, s.urls.API+"/v1/messages?instance=demo", "")
		return strings.Contains(list, "¿Qué tal?") && (strings.Contains(list, `"delivered"`) || strings.Contains(list, `"read"`))
	}) {
		t.Fatalf("not delivered, or not received:\n%s\n%s", list, s.said(t))
	}
	if n := len(s.children(t, "worker")); n != 2 || len(s.urls.Workers) != 2 {
		t.Errorf("%d workers run, %d are printed, want 2", n, len(s.urls.Workers))
	}
	info, err := os.Stat(filepath.Join(s.folder, ".run/dev/secret_key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the sealing key is not kept for us alone: %v, %v", info, err)
	}

	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := s.end(t); status != exitOK {
		t.Errorf("Ctrl-C gives status %d:\n%s", status, s.said(t))
	}
	s.gone(t)
}

func testProgramEnds(t *testing.T, bin string) {
	t.Helper()
	s := start(t, bin, servers(t), "--no-sandbox")
	if s.urls.Sandbox != "" {
		t.Errorf("there is a sandbox at %s", s.urls.Sandbox)
	}
	for _, pid := range s.children(t, "worker") {
		worker, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := worker.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if status := s.end(t); status != exitFailed || !strings.Contains(s.said(t), "worker ended early") {
		t.Errorf("status %d:\n%s", status, s.said(t))
	}
	s.gone(t)
}

func testKilled(t *testing.T, bin string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells children")
	}
	s := start(t, bin, servers(t))
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.end(t)
	s.gone(t)
}

func TestUpSaysWhatToBuild(t *testing.T) {
	t.Parallel()
	got := environment{}.run(t, "up").want(t, exitFailed) // beside the test's own binary there is nothing
	if !strings.Contains(got.stderr, "make build") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

func TestWelcomeHasEverythingToTry(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stdout: &out}
	a.welcome(&setting{urls: urls{API: "http://api", Docs: "http://api/docs", Operator: "http://op", Queues: "http://op/queues/", Workers: []string{"http://w"}, Sandbox: "http://sb", Token: "T"}})
	for _, want := range []string{
		"http://api/docs", "http://op/queues/", "http://w/readyz", "http://sb/sandbox/", "token     T\n",
		"curl -sS http://api/v1/messages -H 'Authorization: Bearer T'", "'http://api/v1/messages?instance=demo'", "http://sb/sandbox/inbound", "Ctrl-C stops everything",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
}

func TestSealingKeyIsKeptBetweenRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	a := &app{stderr: io.Discard}
	first, err := a.keptKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.keptKey()
	if err != nil || again != first {
		t.Errorf("the second run has another key, %v", err)
	}
}

func TestDevelopmentSettingsLeaveWhatIsSet(t *testing.T) {
	t.Chdir(t.TempDir())
	a := &app{stderr: io.Discard, getenv: func(name string) string {
		return map[string]string{
			"DATABASE_URL": "postgres://h/d", "API_TOKEN": "mine-0123456789ab", "EVOLUTION_BASE_URL": "https://evolution.example",
			"LISTEN_PORT": "0", "ADMIN_ADDR": "127.0.0.1:0", "WORKER_ADDR": "127.0.0.1:0", "SANDBOX_ADDR": "127.0.0.1:0",
		}[name]
	}}
	s, err := a.setUp(t.Context(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	defer s.sandbox.Close()
	told := strings.Join(s.env, "\n")
	if s.urls.Token != "mine-0123456789ab" || strings.Contains(told, "API_TOKEN") || strings.Contains(told, "EVOLUTION") {
		t.Errorf("token %s, told:\n%s", s.urls.Token, told)
	}
	for _, name := range []string{"WEBHOOK_TOKEN=", "SECRET_KEY=", "ALLOW_PRIVATE_TARGETS=true", "LISTEN_PORT="} {
		if !strings.Contains(told, name) {
			t.Errorf("%s is not told", name)
		}
	}
}
