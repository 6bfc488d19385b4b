package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/msgorch/msgorch/internal/fault"
)

// errSilent is a failure that was told already.
var errSilent = errors.New("told already")

// complain tells the operator about err on standard error, in one line, and
// returns the exit status. The mistakes in the environment take a line each.
func (a *app) complain(err error) int {
	if err == nil {
		return exitOK
	}
	if wrong, ok := errors.AsType[settingsError](err); ok {
		for line := range strings.Lines(wrong.Error()) {
			a.note("%s", line)
		}
		return exitFailed
	}
	if !errors.Is(err, errSilent) {
		a.note("%s", explain(err))
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// note writes one line to standard error.
func (a *app) note(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, "msgorch: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// oneLine joins lines, each of them once: pgx has one for each time it tried.
func oneLine(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.Join(strings.Fields(line), " "); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// explain says what went wrong in the operator's words. Of what happened inside
// it tells the cause, as the operator is the one who can mend it.
func explain(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && behind(e.Code) {
		return "the database lacks what this version needs; run `msgorch migrate up`: " + e.Message
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err.Error()
	}
	if f.Kind.Final() || f.Err == nil {
		return f.Detail
	}
	return f.Detail + " " + f.Err.Error()
}

// behind reports whether PostgreSQL misses a part of the schema.
func behind(code string) bool {
	switch code {
	case pgerrcode.UndefinedTable, pgerrcode.UndefinedColumn, pgerrcode.UndefinedObject, pgerrcode.UndefinedFunction:
		return true
	}
	return false
}
