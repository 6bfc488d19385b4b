package db

import (
	"context"
	"time"
)

// CatchUpLogLevel sets the log level that was told since a time, if any was: a
// process that was not listening at that moment learns of it when it listens
// again. It changes nothing when PostgreSQL is away.
func CatchUpLogLevel(ctx context.Context, pool DBTX, since time.Time, set func(directives string) error) {
	if directives, err := New(pool).LogLevelSince(ctx, since); err == nil {
		_ = set(directives) // it was checked before it was told
	}
}
