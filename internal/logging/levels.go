package logging

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// example ends every complaint about directives.
const example = "example: info,worker=debug,asynq=warn"

// Levels says which records are written. It may be read and changed by many
// goroutines at once. The zero value is "info" for everything.
type Levels struct {
	rules atomic.Pointer[rules]
}

// Set replaces all directives at once; a spec it does not understand changes
// nothing. The error is one line that names the bad part.
//
// A spec is a comma-separated list. A bare level (trace, debug, info, warn,
// error) holds for everything that has no directive of its own; the last one
// counts, and without any it is info. A directive component=level holds for
// that component and those below it: worker=debug for "worker" and
// "worker.sweeper", not for "workers". The longest matching name decides; of
// two equal names the last.
func (l *Levels) Set(directives string) error {
	parsed, err := parse(directives)
	if err != nil {
		return err
	}
	l.rules.Store(parsed)
	return nil
}

// String returns the present directives as they were given to Set.
func (l *Levels) String() string {
	if r := l.rules.Load(); r != nil {
		return r.text
	}
	return "info"
}

// rules are parsed directives. They do not change. A nil *rules is "info".
type rules struct {
	text   string     // as given
	others slog.Level // of components that no rule names
	byName []rule     // longest name first
}

// rule is the directive of one component.
type rule struct {
	name  string
	least slog.Level
}

// least returns the lowest level that component writes.
func (r *rules) least(component string) slog.Level {
	if r == nil {
		return slog.LevelInfo
	}
	for _, rule := range r.byName {
		below, found := strings.CutPrefix(component, rule.name)
		if found && (below == "" || below[0] == '.') {
			return rule.least
		}
	}
	return r.others
}

func parse(directives string) (*rules, error) {
	r := &rules{text: strings.TrimSpace(directives), others: slog.LevelInfo}
	levels := map[string]slog.Level{}
	for part := range strings.SplitSeq(r.text, ",") {
		part = strings.TrimSpace(part)
		name, value, named := strings.Cut(part, "=")
		if !named {
			name, value = "", part
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if named && !validName(name) {
			return nil, fmt.Errorf("bad component name in %q, %s", clip(part), example)
		}
		level, ok := levelNamed(value)
		if !ok {
			return nil, fmt.Errorf("unknown level in %q, use trace, debug, info, warn or error, %s", clip(part), example)
		}
		levels[name] = level
	}
	for name, level := range levels {
		if name == "" {
			r.others = level
			continue
		}
		r.byName = append(r.byName, rule{name, level})
	}
	slices.SortFunc(r.byName, func(a, b rule) int { return cmp.Compare(len(b.name), len(a.name)) })
	return r, nil
}

// validName reports whether s is words of letters, digits, '_' and '-',
// separated by single dots.
func validName(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		odd := strings.TrimLeft(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
		if word == "" || odd != "" {
			return false
		}
	}
	return true
}

func levelNamed(s string) (slog.Level, bool) {
	switch strings.ToLower(s) {
	case "trace":
		return LevelTrace, true
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return 0, false
}

// clip keeps a complaint short when a whole file was pasted as a level.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
