package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/internal/logging"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestMain(m *testing.M) {
	redis.SetLogger(logging.Redis(slog.New(slog.DiscardHandler))) // as main does
	goleak.VerifyTestMain(m)
}

// result is what a command left behind.
type result struct {
	status         int
	stdout, stderr string
}

// environment is what a command is told.
type environment map[string]string

// servers is an environment with a database and a Redis of the test's own.
func servers(t *testing.T) environment {
	t.Helper()
	return environment{"DATABASE_URL": testenv.Postgres(t), "REDIS_URL": testenv.Redis(t)}
}

// and returns a copy with one more variable.
func (e environment) and(name, value string) environment {
	out := environment{name: value}
	for k, v := range e {
		if k != name {
			out[k] = v
		}
	}
	return out
}

// run runs a command with nothing on standard input.
func (e environment) run(t *testing.T, args ...string) result {
	t.Helper()
	return e.feed(t, "", args...)
}

// feed is run with something on standard input.
func (e environment) feed(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return e.runIn(t.Context(), stdin, args...)
}

func (e environment) runIn(ctx context.Context, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	getenv := func(name string) string { return e[name] }
	status := run(ctx, append([]string{"msgorch"}, args...), getenv, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// want fails the test unless the command ended with a status.
func (r result) want(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.stdout, r.stderr)
	}
	return r
}

// as decodes the one JSON document on standard output.
func as[T any](t *testing.T, r result) (v T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s", err, r.stdout)
	}
	if dec.More() {
		t.Fatalf("stdout has more than one document:\n%s", r.stdout)
	}
	return v
}

func TestWrongUsageIsOneLineAndStatus2(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"unknown verb":       {"dance"},
		"unknown sub-verb":   {"keys", "dance"},
		"unknown flag":       {"doctor", "--dance"},
		"missing flag":       {"keys", "create", "--name", "x"},
		"missing argument":   {"instances", "show"},
		"too many arguments": {"messages", "list", "x"},
		"bad format":         {"keys", "list", "-o", "xml"},
		"bad number":         {"migrate", "down", "--steps", "0"},
		"bad time":           {"messages", "list", "--since", "yesterday"},
		"bad id":             {"messages", "show", "42"},
		"two secrets":        {"instances", "put", "x", "--credential-file", "-", "--webhook-token-file", "-"},
	}
	env := environment{"DATABASE_URL": "postgres://127.0.0.1:1/none?connect_timeout=1"}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := env.run(t, args...).want(t, exitUsage)
			if got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "--help") {
				t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
			}
		})
	}
}

func TestHelpNamesEveryVerbAndEveryVerbExplainsItself(t *testing.T) {
	t.Parallel()
	verbs := []string{"up", "migrate", "keys", "instances", "send", "messages", "tail", "sandbox", "doctor", "bench"}
	help := environment{}.run(t).want(t, exitOK).stdout
	for _, verb := range verbs {
		if !strings.Contains(help, "\n   "+verb+" ") {
			t.Errorf("help does not name %q:\n%s", verb, help)
		}
		got := environment{}.run(t, verb, "--help").want(t, exitOK).stdout
		if !strings.Contains(got, "\n   msgorch "+verb+" ") {
			t.Errorf("help of %q has no example:\n%s", verb, got)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	t.Parallel()
	got := environment{}.run(t, "--version").want(t, exitOK)
	if diff := cmp.Diff("msgorch version "+version+"\n", got.stdout); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakesInTheEnvironmentAreALineEachWithoutValues(t *testing.T) {
	t.Parallel()
	env := environment{"LISTEN_PORT": "hunter2", "REDIS_URL": "http://:hunter2@h"}
	got := env.run(t, "keys", "list").want(t, exitFailed)
	var names []string
	for line := range strings.Lines(got.stderr) {
		parts := strings.SplitN(line, ": ", 3)
		names = append(names, parts[1])
	}
	if diff := cmp.Diff([]string{"DATABASE_URL", "REDIS_URL", "LISTEN_PORT"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(got.stderr, "hunter2") {
		t.Errorf("a value is shown: %s", got.stderr)
	}
}

func TestServersThatAreAwayAreOneLineWithoutPassword(t *testing.T) {
	t.Parallel()
	env := environment{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/none"}
	for _, args := range [][]string{
		{"keys", "list"}, {"migrate", "status"}, {"messages", "list"}, {"send", "--instance", "a", "--to", "+5215550000001", "x"},
	} {
		got := env.run(t, args...).want(t, exitFailed)
		if strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "refused") || strings.Contains(got.stderr, "hunter2") {
			t.Errorf("%v: %s", args, got.stderr)
		}
	}
}

func TestMissingTablesNameTheRemedy(t *testing.T) {
	t.Parallel()
	got := environment{"DATABASE_URL": testenv.EmptyPostgres(t)}.run(t, "keys", "list").want(t, exitFailed)
	if !strings.Contains(got.stderr, "msgorch migrate up") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

func TestDotEnvIsReadAndRealVariablesWin(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "DATABASE_URL=" + testenv.Postgres(t) + "\nLISTEN_PORT=x\n"
	if err := os.WriteFile(filepath.Join(".", ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environment{}.run(t, "keys", "list").want(t, exitFailed)
	environment{"LISTEN_PORT": "0"}.run(t, "keys", "list").want(t, exitOK)
}
