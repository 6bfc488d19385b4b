// Package logging writes log/slog records in two forms, for people (tint) and
// for machines (JSON), and decides per component which levels are written.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"
)

// LevelTrace is below slog.LevelDebug: internal detail. The other four levels
// are slog's own.
const LevelTrace slog.Level = -8

// New returns a logger that writes one line per record to w, and the Levels
// that decide which records these are, now and later.
//
// Every line carries app. The format is "json"; "tint", which is coloured when
// w is a terminal; or "auto", which is tint on a terminal and JSON elsewhere.
// For directives see Levels.Set. An error is one line that begins with the
// variable it comes from, LOG_FORMAT or LOG_LEVEL.
//
// The logger may be used by many goroutines at once; w need not be safe for it.
func New(w io.Writer, app, format, directives string) (*slog.Logger, *Levels, error) {
	out, err := newWriter(w, format)
	if err != nil {
		return nil, nil, fmt.Errorf("LOG_FORMAT: %w", err)
	}
	levels := &Levels{}
	if err := levels.Set(directives); err != nil {
		return nil, nil, fmt.Errorf("LOG_LEVEL: %w", err)
	}
	root := out.WithAttrs([]slog.Attr{slog.String("app", app)})
	return slog.New(&handler{gate: &gate{levels: levels}, root: root, next: root}), levels, nil
}

// newWriter returns the handler that formats and writes. It writes whatever it
// is given: judging is the business of handler.
func newWriter(w io.Writer, format string) (slog.Handler, error) {
	terminal := isTerminal(w)
	if format == "auto" {
		format = "json"
		if terminal {
			format = "tint"
		}
	}
	switch format {
	case "json":
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: LevelTrace, ReplaceAttr: jsonLevel}), nil
	case "tint":
		return tint.NewTextHandler(w, &tint.Options{
			Level:       LevelTrace,
			ReplaceAttr: tintLevel,
			TimeFormat:  time.TimeOnly + ".000",
			NoColor:     !terminal,
		}), nil
	}
	return nil, fmt.Errorf("unknown format %q, use auto, tint or json", clip(format))
}

// isTerminal reports whether w is a character device. That takes /dev/null for
// a terminal too, where nobody sees the difference.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// jsonLevel names the level of a JSON line in lower case.
func jsonLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := recordLevel(groups, a); ok {
		return slog.String(slog.LevelKey, levelName(level))
	}
	return a
}

// tintLevel names the level of a tint line in upper case, in colour, and five
// columns wide.
func tintLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := recordLevel(groups, a); ok {
		label := fmt.Sprintf("%-5s", strings.ToUpper(levelName(level)))
		return tint.Attr(levelColor(level), slog.String(slog.LevelKey, label))
	}
	return a
}

// recordLevel returns the level of the record, if that is what a is.
func recordLevel(groups []string, a slog.Attr) (slog.Level, bool) {
	if len(groups) > 0 || a.Key != slog.LevelKey || a.Value.Kind() != slog.KindAny {
		return 0, false
	}
	level, ok := a.Value.Any().(slog.Level)
	return level, ok
}

// levelName names level; one between two named levels goes by the lower.
func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "trace"
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warn"
	}
	return "error"
}

// levelColor returns the ANSI number of level's colour.
func levelColor(level slog.Level) uint8 {
	const grey, red, green, yellow, blue = 8, 9, 10, 11, 12
	switch {
	case level < slog.LevelDebug:
		return grey
	case level < slog.LevelInfo:
		return blue
	case level < slog.LevelWarn:
		return green
	case level < slog.LevelError:
		return yellow
	}
	return red
}
