package outbound

import (
	"context"
	"log/slog"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

// block stops an instance for a while, for every worker: its gateway asked to
// slow down, or cannot be reached. No message burns an attempt on that.
func (s *Service) block(ctx context.Context, h head, a gateway.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	ms, err := db.New(s.c.Pool).BlockInstance(ctx, db.BlockInstanceParams{
		ID: h.InstanceID, Reason: a.Code + ": " + a.Reason, WaitMs: a.RetryAfter.Milliseconds(),
		Probe: h.Failures > 0, Slow: a.Slow, SlowStep: slowStep,
	})
	if h.Failures == 0 { // once, not for each message that tries it again
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "instance.blocked", slog.String("instance", h.Instance),
			slog.String("code", a.Code), slog.Duration("took", time.Duration(ms)*time.Millisecond), slog.Any("error", err))
	}
}

// unblock notes that an instance sends again.
func (s *Service) unblock(ctx context.Context, l *line, h head) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := db.New(s.c.Pool).UnblockInstance(ctx, h.InstanceID); err != nil {
		return // the next message that is accepted does it
	}
	s.c.Log.LogAttrs(ctx, slog.LevelInfo, "instance.unblocked", slog.String("instance", h.Instance))
	s.pull(ctx, l)
	offer(l.opened)
}
