package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

// What the flag --output can say.
const (
	formatText = "text"
	formatJSON = "json"
)

func (a *app) formatFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: formatText, Destination: &a.format,
		Usage: "print `FORMAT`: text for people, json for programs",
		Validator: func(s string) error {
			if s != formatText && s != formatJSON {
				return errors.New("must be text or json")
			}
			return nil
		},
	}
}

// page is a list as JSON, in the shape of the API's.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor,omitempty"`
}

// print writes v as one JSON document, or calls text, as the operator asked.
func (a *app) print(v any, text func()) error {
	if a.format != formatJSON {
		text()
		return nil
	}
	return a.printJSON(v, "  ")
}

func (a *app) printJSON(v any, indent string) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

// say writes to standard output.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stdout, format, args...)
}

// table writes rows in columns. Its last column is cut to the terminal.
func (a *app) table(header []string, rows [][]string) {
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = printable(row[i])
		}
	}
	room := roomForLast(all, width(a.stdout))
	w := tabwriter.NewWriter(a.stdout, 0, 0, columnGap, ' ', 0)
	for _, row := range all {
		last := len(row) - 1
		row[last] = cut(row[last], room)
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = w.Flush()
}

const (
	columnGap = 2
	leastRoom = 16 // for the last column: rather a wrapped line than nothing of it
)

// roomForLast returns how many characters the last column may have; 0 means any
// number.
func roomForLast(rows [][]string, width int) int {
	if width == 0 {
		return 0
	}
	taken := 0
	for i := range len(rows[0]) - 1 {
		widest := 0
		for _, row := range rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}
		taken += widest + columnGap
	}
	return max(width-taken, leastRoom)
}

// cut shortens s to a number of characters; 0 leaves it.
func cut(s string, most int) string {
	if most == 0 || utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// printable makes one harmless line of a text that a stranger may have written:
// no escape sequences for the terminal, no changes of direction.
func printable(s string) string {
	const joiner = '\u200d' // holds emoji together
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r) || r == joiner:
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, s)
}

// width returns the columns of the terminal behind w; 0 if w is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	return columns(f)
}

// clock writes a moment in the operator's time zone, without what is obvious.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// orDash stands in for what is empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
