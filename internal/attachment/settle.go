package attachment

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
)

// What a file's state can be.
const (
	pending = "pending"
	isKept  = "kept"
	failed  = "failed"
)

// settle records what came of an attempt. The error is the task's.
func (s *Service) settle(ctx context.Context, c db.ClaimMediaRow, file *kept, took time.Duration, f *fault.Error) error {
	p := db.SettleMediaParams{ID: c.ID, Attempt: c.Attempts, State: isKept, DurationMs: int32(took.Milliseconds()), Size: -1}
	switch {
	case f == nil:
		p.Size, p.MimeType, p.Sha256 = file.size, file.mimeType, file.sha256
	case isFinal(f, c.Attempts):
		p.State, p.Code, p.Reason = failed, f.Code, f.Detail
	default:
		p.State, p.Code, p.Reason, p.Wait = pending, f.Code, f.Detail, max(f.After, wait(c.Attempts))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	n, err := db.New(s.c.Pool).SettleMedia(ctx, p)
	if err != nil {
		return unavailable(err) // the lease ends, and the relay has it fetched again
	}
	if n == 0 {
		return s.overtaken(ctx, c)
	}
	s.logAttempt(ctx, c, p, f)
	switch p.State {
	case failed:
		return fault.New(fault.NotFound, p.Code, p.Reason).Because(f)
	case pending:
		return fault.New(fault.Unavailable, p.Code, p.Reason).RetryAfter(p.Wait).Because(f)
	}
	return nil
}

// isFinal reports whether an attempt was the last one. That a gateway has no such
// file, or another one, is believed once it has said so for a while: it tells of
// messages before it has stored them.
func isFinal(f *fault.Error, attempt int32) bool {
	if f.Kind == fault.NotFound {
		return attempt >= believedAfter
	}
	return f.Kind.Final() || attempt >= maxAttempts
}

// wait is how long a file waits after a failed attempt.
func wait(attempt int32) time.Duration {
	if attempt <= quickAttempts {
		return fault.Backoff(int(attempt))
	}
	return slowWait*3/4 + rand.N(slowWait/2)
}

// overtaken ends an attempt whose outcome counts no more. When its message was
// deleted meanwhile, nobody else deletes what it may have written.
func (s *Service) overtaken(ctx context.Context, c db.ClaimMediaRow) error {
	rows, err := db.New(s.c.Pool).MediaOf(ctx, []uuid.UUID{c.ID})
	if err != nil {
		return unavailable(err)
	}
	if len(rows) > 0 && rows[0].MessageID != nil {
		return nil // a later attempt has it in hand
	}
	if err := s.c.Store.Delete(ctx, c.StorageKey); err != nil {
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "media.undeleted", slog.String("message_id", c.ID.String()), slog.Any("error", err))
	}
	return nil
}

func (s *Service) logAttempt(ctx context.Context, c db.ClaimMediaRow, p db.SettleMediaParams, f *fault.Error) {
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("message_id", c.ID.String()), slog.String("instance", c.Instance.Name), slog.Int("attempt", int(c.Attempts)),
		slog.String("outcome", p.State), slog.String("code", p.Code), slog.Duration("took", time.Duration(p.DurationMs)*time.Millisecond),
	}
	if f != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("error", f))
	}
	s.c.Log.LogAttrs(ctx, level, "media.attempted", attrs...)
}
