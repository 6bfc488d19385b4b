package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

const (
	batchRows = 500              // that are committed together
	batchTime = 30 * time.Second // for that, also after an interruption
)

// byLine stands for no column: the line number is the key.
const byLine = -1

// letter makes the message of a row.
type letter struct {
	instance, priority string
	text               template
	to, key            int    // columns; key may be byLine
	prefix             string // of the keys
}

func (l letter) message(r sheetRow) (tasks.SendMessage, error) {
	m := tasks.SendMessage{
		Instance: l.instance, To: strings.TrimSpace(r.fields[l.to]), Text: l.text.fill(r.fields), Priority: l.priority,
	}
	id := strconv.Itoa(r.line)
	if l.key != byLine {
		if id = strings.TrimSpace(r.fields[l.key]); id == "" {
			return m, fault.New(fault.Invalid, "invalid_key", "The column of keys is empty.")
		}
	}
	m.Key = id
	if l.prefix != "" {
		m.Key = l.prefix + ":" + id
	}
	return m, nil
}

// delivery offers the rows of a sheet, some at a time, and counts the answers.
type delivery struct {
	letter letter
	sheet  *sheet
	accept func(context.Context, []tasks.SendMessage) ([]outbox.Result, error)
	note   func(format string, args ...any)
	gauge  gauge
	sum    mailing

	settled int // every row up to this line is counted
}

// offer is the message of a row, or why the row makes none.
type offer struct {
	line    int
	message tasks.SendMessage
	err     error
}

// run goes through the file. When ctx ends it commits what it has in hand.
func (d *delivery) run(ctx context.Context) error {
	for {
		batch, end := d.gather()
		if err := d.commit(ctx, batch); err != nil {
			return err
		}
		d.gauge.at(d.sheet.offset())
		switch {
		case errors.Is(end, io.EOF):
			d.sum.Complete = true
			return nil
		case end != nil:
			return fmt.Errorf("read the file: %w", end)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// gather reads the next rows. The error is the file's; what was read before it
// is returned too.
func (d *delivery) gather() (batch []offer, err error) {
	for range batchRows {
		row, err := d.sheet.next()
		if err != nil {
			return batch, err
		}
		o := offer{line: row.line, err: row.err}
		if o.err == nil {
			o.message, o.err = d.letter.message(row)
		}
		batch = append(batch, o)
	}
	return batch, nil
}

// commit offers a batch and counts the answers. After an error it counts the
// messages that have one.
func (d *delivery) commit(ctx context.Context, batch []offer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTime)
	defer cancel()
	results, err := d.answers(ctx, batch)
	for i, r := range results {
		switch {
		case r.Err != nil && fault.Of(r.Err).Kind == fault.Internal:
			err = r.Err // not the row's fault, so the others would fail as well
		case err == nil || r.Err != nil || r.Receipt.ID != uuid.Nil:
			d.tell(d.sum.count(batch[i].line, batch[i].message, r))
		}
	}
	if err == nil && len(batch) > 0 {
		d.settled = batch[len(batch)-1].line
	}
	if f := fault.Of(err); f != nil && f.Code == "database_unavailable" {
		return fmt.Errorf("the database is away: %w", f.Err) // unlike f it does not deny earlier batches
	}
	return err
}

// answers has a result for each offer, in order.
func (d *delivery) answers(ctx context.Context, batch []offer) ([]outbox.Result, error) {
	answers := make([]outbox.Result, len(batch))
	var messages []tasks.SendMessage
	var at []int
	for i, o := range batch {
		if answers[i].Err = o.err; o.err == nil {
			messages, at = append(messages, o.message), append(at, i)
		}
	}
	results, err := d.accept(ctx, messages)
	for n, r := range results {
		answers[at[n]] = r
	}
	return answers, err
}

// tell reports a refusal, if there is one.
func (d *delivery) tell(r *refusal) {
	if r != nil {
		d.gauge.clear()
		d.note("line %d: %s: %s", r.Line, r.Code, r.Message)
	}
}

// rehearse answers like an outbox that accepts whatever is right in itself.
func rehearse(_ context.Context, messages []tasks.SendMessage) ([]outbox.Result, error) {
	results := make([]outbox.Result, len(messages))
	for i, m := range messages {
		err := m.Validate()
		if wrong, ok := errors.AsType[*tasks.InvalidError](err); ok {
			err = fault.New(fault.Invalid, wrong.Code, "The field "+wrong.Field+" "+wrong.Reason+".")
		}
		results[i].Err = err
	}
	return results, nil
}
