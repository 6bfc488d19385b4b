package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/logging"
)

// newLogger returns a logger that writes JSON lines to the returned buffer.
func newLogger(tb testing.TB, directives string) (*slog.Logger, *logging.Levels, *bytes.Buffer) {
	tb.Helper()
	var out bytes.Buffer
	log, levels, err := logging.New(&out, "msgorch", "json", directives)
	if err != nil {
		tb.Fatal(err)
	}
	return log, levels, &out
}

// lines decodes JSON lines and drops their time.
func lines(tb testing.TB, out *bytes.Buffer) []map[string]any {
	tb.Helper()
	var all []map[string]any
	for line := range strings.Lines(out.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			tb.Fatalf("line %q: %v", line, err)
		}
		delete(one, slog.TimeKey)
		all = append(all, one)
	}
	return all
}

// allLevels returns the five levels, lowest first.
func allLevels() []slog.Level {
	return []slog.Level{logging.LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
}

func TestJSONLineCarriesTimeLevelMsgAndApp(t *testing.T) {
	t.Parallel()
	log, _, out := newLogger(t, "trace")
	for _, level := range allLevels() {
		log.Log(t.Context(), level, "message.sent", slog.Any("error", errors.New("no")))
	}

	var first struct{ Time string }
	if err := json.NewDecoder(bytes.NewReader(out.Bytes())).Decode(&first); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, first.Time); err != nil {
		t.Errorf("time is not RFC 3339: %v", err)
	}
	var want []map[string]any
	for _, name := range []string{"trace", "debug", "info", "warn", "error"} {
		want = append(want, map[string]any{"level": name, "msg": "message.sent", "app": "msgorch", "error": "no"})
	}
	if diff := cmp.Diff(want, lines(t, out)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestTintLineIsPlainOutsideATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, _, err := logging.New(&out, "msgorch", "tint", "trace")
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range allLevels() {
		log.Log(t.Context(), level, "message.sent", slog.String("error", "a\nb"))
	}

	want := []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}
	var got []string
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		if len(fields) != 5 || fields[2] != "message.sent" || fields[3] != "app=msgorch" || fields[4] != `error="a\nb"` {
			t.Fatalf("line = %q", line)
		}
		got = append(got, fields[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}

func TestAutoIsTintOnATerminalAndJSONElsewhere(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, w := range []io.Writer{&bytes.Buffer{}, file} {
		log, _, err := logging.New(w, "msgorch", "auto", "info")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("message.sent")
		if buf, ok := w.(*bytes.Buffer); ok && !json.Valid(buf.Bytes()) {
			t.Errorf("a buffer gets %q, want JSON", buf)
		}
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Errorf("a file gets %q, want JSON", text)
	}
	// What a terminal gets is in terminal_test.go.
}

func TestNewNamesTheVariableThatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct{ format, directives, want string }{
		{"yaml", "info", "LOG_FORMAT: unknown format \"yaml\", use auto, tint or json"},
		{"", "info", "LOG_FORMAT: unknown format \"\", use auto, tint or json"},
		{"json", "loud", "LOG_LEVEL: unknown level in \"loud\", use trace, debug, info, warn or error, " +
			"example: info,worker=debug,asynq=warn"},
	}
	for _, tt := range tests {
		t.Run(tt.format+" "+tt.directives, func(t *testing.T) {
			t.Parallel()

			_, _, err := logging.New(io.Discard, "msgorch", tt.format, tt.directives)

			if err == nil || err.Error() != tt.want {
				t.Errorf("error = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestHandlerKeepsThePromisesOfSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		t.Helper()
		out.Reset()
		log, _, err := logging.New(&out, "msgorch", "json", "info")
		if err != nil {
			t.Fatal(err)
		}
		return logging.Component(log, "worker").Handler()
	}, func(t *testing.T) map[string]any {
		t.Helper()
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	})
}

func TestComponentIsOneAttrOutsideGroupsAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	log, _, out := newLogger(t, "info")

	worker := logging.Component(log.With("instance", "sales"), "worker").WithGroup("task").With("task_id", "t1")
	sweeper := logging.Component(worker, "worker.sweeper")
	other := worker.With("attempt", 1)
	sweeper.With("attempt", 2).Info("sweep.done", "queue", "bulk")
	other.Info("task.done")
	log.Info("program.started")

	want := []map[string]any{
		{
			"level": "info", "msg": "sweep.done", "app": "msgorch", "component": "worker.sweeper", "instance": "sales",
			"task": map[string]any{"task_id": "t1", "attempt": 2.0, "queue": "bulk"},
		},
		{
			"level": "info", "msg": "task.done", "app": "msgorch", "component": "worker", "instance": "sales",
			"task": map[string]any{"task_id": "t1", "attempt": 1.0},
		},
		{"level": "info", "msg": "program.started", "app": "msgorch"},
	}
	if diff := cmp.Diff(want, lines(t, out)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if got := strings.Count(out.String(), `"component"`); got != 2 {
		t.Errorf("%d component attrs in 3 lines, want 2:\n%s", got, out)
	}
}

func TestComponentOfAForeignLoggerIsAnAttr(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer

	logging.Component(slog.New(slog.NewTextHandler(&out, nil)), "worker").Info("task.done")

	if !strings.Contains(out.String(), "component=worker") {
		t.Errorf("line = %q, want component=worker", &out)
	}
}

func TestLevelsChangeWhileLoggersExist(t *testing.T) {
	t.Parallel()
	log, levels, out := newLogger(t, "warn")
	worker := logging.Component(log, "worker").With("task_id", "t1").WithGroup("g")

	worker.Info("first")
	if err := levels.Set("error,worker=info"); err != nil {
		t.Fatal(err)
	}
	worker.Info("second")
	log.Warn("third")
	if err := levels.Set("info,worker=loud"); err == nil {
		t.Error("Set accepted a level that does not exist")
	}
	worker.Info("fourth")
	log.Warn("fifth")

	var got []string
	for _, line := range lines(t, out) {
		got = append(got, line["msg"].(string))
	}
	if diff := cmp.Diff([]string{"second", "fourth"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got, want := levels.String(), "error,worker=info"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}

func TestLevelsMayBeChangedAndReadAtOnce(t *testing.T) {
	t.Parallel()
	log, levels, err := logging.New(io.Discard, "msgorch", "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	worker := logging.Component(log, "worker")
	var group sync.WaitGroup
	for _, directives := range []string{"info", "error,worker=debug"} {
		group.Go(func() {
			for range 500 {
				if err := levels.Set(directives); err != nil {
					t.Error(err)
				}
				worker.Debug("task.done", "levels", levels.String())
			}
		})
	}
	group.Wait()

	if err := levels.Set("warn"); err != nil {
		t.Fatal(err)
	}
	if worker.Enabled(t.Context(), slog.LevelInfo) || !worker.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the last directives do not decide")
	}
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestDisabledCallAllocatesNothing(t *testing.T) {
	ctx := t.Context()
	log, levels, _ := newLogger(t, "info,worker=warn")
	worker := logging.Component(log, "worker.sweeper").With("task_id", "t1")
	if err := levels.Set("debug,worker=warn"); err != nil {
		t.Fatal(err)
	}

	got := testing.AllocsPerRun(100, func() {
		worker.LogAttrs(ctx, slog.LevelInfo, "task.done", slog.String("instance", "sales"), slog.Int("attempt", 3))
		worker.InfoContext(ctx, "task.done")
	})
	if got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

func BenchmarkDisabledCall(b *testing.B) {
	ctx := b.Context()
	log, _, _ := newLogger(b, "info,worker=warn,asynq=warn,db=trace")
	worker := logging.Component(log, "worker.sweeper")
	b.ReportAllocs()
	for b.Loop() {
		worker.LogAttrs(ctx, slog.LevelInfo, "task.done", slog.String("instance", "sales"), slog.Int("attempt", 3))
	}
}
