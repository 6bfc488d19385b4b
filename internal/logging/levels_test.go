package logging_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/logging"
)

// least returns the lowest level that component writes; the empty component is
// the program's own logger.
func least(log *slog.Logger, component string) slog.Level {
	if component != "" {
		log = logging.Component(log, component)
	}
	for _, level := range allLevels() {
		if log.Enabled(context.Background(), level) {
			return level
		}
	}
	return slog.LevelError + 1
}

func TestDirectivesDecidePerComponent(t *testing.T) {
	t.Parallel()
	const mixed = "info,worker=debug,asynq=warn,db=trace"
	tests := []struct {
		directives, component string
		want                  slog.Level
	}{
		{"trace", "", logging.LevelTrace},
		{"debug", "", slog.LevelDebug},
		{"info", "", slog.LevelInfo},
		{"warn", "", slog.LevelWarn},
		{"error", "", slog.LevelError},
		{" WARN ", "", slog.LevelWarn},
		{"error,info", "", slog.LevelInfo},
		{"error,info", "worker", slog.LevelInfo},
		{"info,worker=debug,error", "api", slog.LevelError},
		{"worker=debug", "", slog.LevelInfo},
		{mixed, "", slog.LevelInfo},
		{mixed, "api", slog.LevelInfo},
		{mixed, "worker", slog.LevelDebug},
		{mixed, "worker.sweeper", slog.LevelDebug},
		{mixed, "workers", slog.LevelInfo},
		{mixed, "work", slog.LevelInfo},
		{mixed, "asynq", slog.LevelWarn},
		{mixed, "db", logging.LevelTrace},
		{"worker=error,worker.sweeper=debug", "worker.sweeper.once", slog.LevelDebug},
		{"worker.sweeper=debug,worker=error", "worker.sweeper", slog.LevelDebug},
		{"worker.sweeper=debug,worker=error", "worker.other", slog.LevelError},
		{"worker=error,worker=debug", "worker", slog.LevelDebug},
		{"info, worker = debug ", "worker", slog.LevelDebug},
	}
	for _, tt := range tests {
		t.Run(tt.directives+" for "+tt.component, func(t *testing.T) {
			t.Parallel()
			log, levels, _ := newLogger(t, tt.directives)

			if got := least(log, tt.component); got != tt.want {
				t.Errorf("lowest level = %v, want %v", got, tt.want)
			}
			if got, want := levels.String(), strings.TrimSpace(tt.directives); got != want {
				t.Errorf("String = %q, want %q", got, want)
			}
		})
	}
}

func TestBadDirectivesAreNamed(t *testing.T) {
	t.Parallel()
	tests := []struct{ directives, want string }{
		{"", `level in ""`},
		{"loud", `level in "loud"`},
		{"info,", `level in ""`},
		{"info,,warn", `level in ""`},
		{"info,worker=loud", `level in "worker=loud"`},
		{"info,worker=", `level in "worker="`},
		{"warning", `level in "warning"`},
		{"4", `level in "4"`},
		{"info,=debug", `name in "=debug"`},
		{"info,wor ker=debug", `name in "wor ker=debug"`},
		{"info,worker.=debug", `name in "worker.=debug"`},
		{"info,.worker=debug", `name in ".worker=debug"`},
		{"info,a..b=debug", `name in "a..b=debug"`},
		{"info,a=b=debug", `level in "a=b=debug"`},
		{"info\nwarn", `level in "info\nwarn"`},
		{strings.Repeat("x", 1000), `level in "` + strings.Repeat("x", 40) + `…"`},
	}
	for _, tt := range tests {
		t.Run(tt.directives, func(t *testing.T) {
			t.Parallel()
			var levels logging.Levels

			err := levels.Set(tt.directives)
			if err == nil {
				t.Fatal("Set accepted it")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "example: ") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %q, want one line with %s and an example", err, tt.want)
			}
			if got := levels.String(); got != "info" {
				t.Errorf("String after a bad Set = %q, want info", got)
			}
		})
	}
}

// Set never panics, its errors are one short line, and String can be set again
// with the same effect.
func FuzzLevelsSet(f *testing.F) {
	for _, directives := range []string{
		"info", "error,info", "info,worker=debug,asynq=warn,db=trace", "", ",", "=", "a=b=c", "a..b=info", " info , x = warn ", "\xff=info",
	} {
		f.Add(directives, "worker.sweeper")
	}
	f.Fuzz(func(t *testing.T, directives, component string) {
		log, levels, err := logging.New(io.Discard, "msgorch", "json", "info")
		if err != nil {
			t.Fatal(err)
		}
		if err := levels.Set(directives); err != nil {
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error = %q, want one short line", err)
			}
			if got := levels.String(); got != "info" {
				t.Errorf("a bad spec changed the levels to %q", got)
			}
			return
		}
		before := least(log, component)
		if err := levels.Set(levels.String()); err != nil {
			t.Fatalf("String = %q cannot be set: %v", levels, err)
		}
		if after := least(log, component); after != before {
			t.Errorf("lowest level of %q = %v after Set(String()), want %v", component, after, before)
		}
	})
}
