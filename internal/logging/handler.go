package logging

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// Component returns a logger for a part of the program. Its records carry name
// as the attr "component", outside of any group, and are judged by the
// directives for that name. Names are dotted: "worker.sweeper" is below
// "worker". A Component of a Component takes the new name only; what With and
// WithGroup added stays.
//
// A logger that New did not make gets the attr and keeps its own levels.
func Component(log *slog.Logger, name string) *slog.Logger {
	h, ok := log.Handler().(*handler)
	if !ok {
		return log.With(slog.String("component", name))
	}
	return slog.New(h.component(name))
}

// handler passes on the records that its gate lets through.
type handler struct {
	gate  *gate
	root  slog.Handler // writes, without component
	steps []step       // what With and WithGroup did since root, in order
	next  slog.Handler // root, the component, then steps
}

// step is one With or WithGroup. They are kept so that a later Component can
// put its attr before them, as a group would swallow it.
type step func(slog.Handler) slog.Handler

// Enabled implements slog.Handler. It allocates nothing and takes no lock.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.gate.least()
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.then(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.then(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *handler) then(s step) *handler {
	return &handler{
		gate:  h.gate,
		root:  h.root,
		steps: append(slices.Clip(h.steps), s), // siblings must not share the backing array
		next:  s(h.next),
	}
}

func (h *handler) component(name string) *handler {
	next := h.root.WithAttrs([]slog.Attr{slog.String("component", name)})
	for _, s := range h.steps {
		next = s(next)
	}
	return &handler{
		gate:  &gate{levels: h.gate.levels, component: name},
		root:  h.root,
		steps: h.steps,
		next:  next,
	}
}

// gate judges the records of one component, whose loggers share it.
type gate struct {
	levels    *Levels
	component string // empty for the program itself
	known     atomic.Pointer[verdict]
}

// verdict is what rules say about one component.
type verdict struct {
	rules *rules
	least slog.Level
}

// least returns the lowest level written. Names are matched once after each
// change of the levels; from then on it is two atomic loads.
func (g *gate) least() slog.Level {
	now := g.levels.rules.Load()
	if v := g.known.Load(); v != nil && v.rules == now {
		return v.least
	}
	v := &verdict{rules: now, least: now.least(g.component)}
	g.known.Store(v)
	return v.least
}
