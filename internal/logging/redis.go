package logging

import (
	"context"
	"fmt"
	"log/slog"
)

// Redis adapts a logger to go-redis, which reports failing connections to
// everyone who uses its client as well: so this is debug only.
func Redis(log *slog.Logger) RedisLogger { return RedisLogger{Component(log, "redis")} }

// RedisLogger implements go-redis's internal.Logging.
type RedisLogger struct{ log *slog.Logger }

// Printf implements go-redis's internal.Logging.
func (l RedisLogger) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.LogAttrs(ctx, slog.LevelDebug, "redis.logged", slog.String("detail", fmt.Sprintf(format, args...)))
	}
}
