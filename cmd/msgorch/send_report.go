package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// How much of a long file is shown.
const (
	shownRefusals = 20
	shownExamples = 3
)

// mailing is what came of sending to everybody in a file.
type mailing struct {
	File      string    `json:"file"`
	Instance  string    `json:"instance"`
	KeyPrefix string    `json:"key_prefix"`
	DryRun    bool      `json:"dry_run"`
	Complete  bool      `json:"complete"` // the end of the file was reached
	Read      int       `json:"read"`     // rows that one of the counts below has
	Valid     int       `json:"valid"`    // in a dry run: would be offered
	Accepted  int       `json:"accepted"`
	Replayed  int       `json:"replayed"` // accepted by an earlier run
	Refused   int       `json:"refused"`
	Refusals  []refusal `json:"refusals"` // the first of them
	Examples  []example `json:"examples,omitempty"`
	Took      millis    `json:"took_ms"`
	PerSecond float64   `json:"per_second"`
}

// refusal is why a row was not accepted. It holds nothing of the row.
type refusal struct {
	Line    int    `json:"line"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// example is a message that a dry run shows.
type example struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

// millis is a duration that JSON has in milliseconds.
type millis time.Duration

// MarshalJSON implements json.Marshaler.
func (m millis) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(m).Milliseconds()) }

// UnmarshalJSON implements json.Unmarshaler.
func (m *millis) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	*m = millis(time.Duration(n) * time.Millisecond)
	return err
}

// count counts the answer for a row. It returns the refusal to show, if it is
// one of the first.
func (m *mailing) count(line int, offered tasks.SendMessage, r outbox.Result) *refusal {
	m.Read++
	switch {
	case r.Err != nil:
		return m.refuse(line, fault.Of(r.Err))
	case m.DryRun:
		m.Valid++
		if len(m.Examples) < shownExamples {
			m.Examples = append(m.Examples, example{offered.To, offered.Text})
		}
	case r.Receipt.Replayed:
		m.Replayed++
	default:
		m.Accepted++
	}
	return nil
}

func (m *mailing) refuse(line int, f *fault.Error) *refusal {
	m.Refused++
	if len(m.Refusals) == shownRefusals {
		return nil
	}
	m.Refusals = append(m.Refusals, refusal{line, f.Code, f.Detail})
	return &m.Refusals[len(m.Refusals)-1]
}

// took ends the time.
func (m *mailing) took(d time.Duration) {
	m.Took = millis(d)
	if d > 0 {
		m.PerSecond = math.Round(10*float64(m.Read)/d.Seconds()) / 10
	}
}

// printMailing writes the summary.
func (a *app) printMailing(m *mailing) error {
	if more := m.Refused - len(m.Refusals); more > 0 {
		a.note("and %d more rows were refused", more)
	}
	return a.print(m, func() {
		for _, e := range m.Examples {
			a.say("%s  %s\n", printable(e.To), printable(e.Text))
		}
		outcome := [][2]string{{"accepted", strconv.Itoa(m.Accepted)}, {"accepted before", strconv.Itoa(m.Replayed)}}
		if m.DryRun {
			outcome = [][2]string{{"valid", strconv.Itoa(m.Valid) + ", nothing was sent"}}
		}
		fields := append([][2]string{{"read", strconv.Itoa(m.Read)}}, outcome...)
		a.fields(append(fields, [][2]string{
			{"refused", strconv.Itoa(m.Refused)},
			{"key prefix", m.KeyPrefix},
			{"took", time.Duration(m.Took).Round(time.Millisecond).String()},
			{"per second", fmt.Sprint(m.PerSecond)},
		}...))
	})
}

// gauge shows on a terminal how much of a file is read. The zero value shows
// nothing.
type gauge struct{ bar *progressbar.ProgressBar }

// newGauge returns a gauge for a file of so many bytes, -1 if nobody knows.
func newGauge(w io.Writer, size int64) gauge {
	if width(w) == 0 || size == 0 {
		return gauge{}
	}
	const often = 100 * time.Millisecond
	return gauge{progressbar.NewOptions64(
		size, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("sending"), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(often), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0), // it turns as rows are read; otherwise a goroutine would turn it
	)}
}

// The bar's errors are the terminal's; there is nobody to tell.

func (g gauge) at(offset int64) {
	if g.bar != nil {
		_ = g.bar.Set64(offset)
	}
}

// clear makes room for a line; the bar comes back below it.
func (g gauge) clear() {
	if g.bar != nil {
		_ = g.bar.Clear()
	}
}
