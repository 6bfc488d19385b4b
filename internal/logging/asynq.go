package logging

import (
	"context"
	"fmt"
	"log/slog"
)

// Asynq returns a logger for asynq's Config.Logger that writes as component
// "asynq", so that asynq=warn quiets it. Set asynq's own LogLevel to
// asynq.DebugLevel: our levels decide.
func Asynq(log *slog.Logger) AsynqLogger {
	return AsynqLogger{log: Component(log, "asynq")}
}

// AsynqLogger implements asynq.Logger without importing asynq. What asynq says
// is the attr "detail". Asynq makes it. It may be used by many goroutines.
type AsynqLogger struct {
	log *slog.Logger
}

// Debug logs at trace: an idle asynq server says something every second.
func (l AsynqLogger) Debug(args ...any) { l.write(LevelTrace, args) }

// Info logs at debug: asynq's starts and stops are not facts of our system.
func (l AsynqLogger) Info(args ...any) { l.write(slog.LevelDebug, args) }

// Warn logs at warn.
func (l AsynqLogger) Warn(args ...any) { l.write(slog.LevelWarn, args) }

// Error logs at error.
func (l AsynqLogger) Error(args ...any) { l.write(slog.LevelError, args) }

// Fatal logs at error and returns: a library does not end our program.
func (l AsynqLogger) Fatal(args ...any) { l.write(slog.LevelError, args) }

func (l AsynqLogger) write(level slog.Level, args []any) {
	ctx := context.Background() // asynq hands none over
	if !l.log.Enabled(ctx, level) {
		return
	}
	l.log.LogAttrs(ctx, level, "asynq.logged", slog.String("detail", fmt.Sprint(args...)))
}
