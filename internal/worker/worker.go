// Package worker is the door through which tasks come in: which handler does
// which task, when a task is tried again, and the relay that tells Redis of
// what PostgreSQL has and Redis does not.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/attachment"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/logging"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/tasks"
)

// How often a server looks for work, once the Bell has let it, and for what was
// to come later. Each look is a Redis command or two for each queue.
const (
	checkInterval   = time.Millisecond
	delayedInterval = 200 * time.Millisecond
)

// Mux returns the handler of every task there is. Reading it from top to
// bottom is reading all the work MsgOrch does.
func Mux(out *outbound.Service, in *inbound.Service, files *attachment.Service, u Upkeep, m *Metrics, log *slog.Logger) *asynq.ServeMux {
	mux := asynq.NewServeMux()
	mux.Use(m.observe, logTask(log), giveUpWhenFinal)
	tasks.Handle(mux, out.Send)
	tasks.Handle(mux, out.SendAll)
	tasks.Handle(mux, out.Read)
	tasks.Handle(mux, out.ShowTyping)
	tasks.Handle(mux, out.Probe)
	tasks.Handle(mux, in.Apply)
	tasks.Handle(mux, in.ApplyAll)
	tasks.Handle(mux, in.Merge)
	tasks.Handle(mux, files.Fetch)
	tasks.Handle(mux, u.Purger.Purge)
	tasks.Handle(mux, u.Watchdog.Watch)
	tasks.Handle(mux, u.Reconciler.Reconcile)
	return mux
}

// Upkeep does what is due from time to time.
type Upkeep struct {
	Purger     history.Purger
	Watchdog   *outbound.Watchdog
	Reconciler *inbound.Reconciler
}

// Config returns the settings of one asynq server. ctx is what handlers get; it
// must outlive the signal to stop, because they get until patience to finish.
func Config(ctx context.Context, queues map[string]int, concurrency int, patience time.Duration, log *slog.Logger) asynq.Config {
	return asynq.Config{
		Concurrency:              concurrency,
		Queues:                   queues,
		BaseContext:              func() context.Context { return ctx },
		TaskCheckInterval:        checkInterval,
		DelayedTaskCheckInterval: delayedInterval,
		RetryDelayFunc:           retryDelay,
		IsFailure:                isFailure,
		ShutdownTimeout:          patience,
		Logger:                   logging.Asynq(logging.Component(log, "asynq")),
		LogLevel:                 asynq.DebugLevel, // ours decides what is written
	}
}

// isFailure tells asynq whether a try used up one of the task's retries.
func isFailure(err error) bool { return fault.Of(err).Kind != fault.Throttled }

// retryDelay is the one place that says when a failed task comes back: when its
// handler said so, else after a jittered backoff.
func retryDelay(n int, err error, _ *asynq.Task) time.Duration {
	if f := fault.Of(err); f != nil && f.After > 0 {
		return f.After
	}
	return fault.Backoff(n + 1)
}

// giveUpWhenFinal archives a task whose failure no retry can mend.
func giveUpWhenFinal(next asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		err := next.ProcessTask(ctx, t)
		if err != nil && fault.Of(err).Kind.Final() {
			return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
		}
		return err
	})
}

// logTask writes one line for each task that did not simply succeed, and one at
// debug for each that did.
func logTask(log *slog.Logger) asynq.MiddlewareFunc {
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			start := time.Now()
			err := next.ProcessTask(ctx, t)
			level := levelOf(err)
			if !log.Enabled(ctx, level) {
				return err
			}
			id, _ := asynq.GetTaskID(ctx)
			queue, _ := asynq.GetQueueName(ctx)
			retried, _ := asynq.GetRetryCount(ctx)
			attrs := []slog.Attr{
				slog.String("task_type", t.Type()), slog.String("task_id", id), slog.String("queue", queue),
				slog.Int("retried", retried), slog.Duration("took", time.Since(start)),
			}
			if err != nil {
				attrs = append(attrs, slog.String("code", fault.Of(err).Code), slog.Any("error", err))
			}
			log.LogAttrs(ctx, level, "task.done", attrs...)
			return err
		})
	}
}

func levelOf(err error) slog.Level {
	if err == nil {
		return slog.LevelDebug
	}
	if fault.Of(err).Kind == fault.Internal {
		return slog.LevelError
	}
	return slog.LevelWarn
}
