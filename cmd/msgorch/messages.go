package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/history"
)

func (a *app) messages() *cli.Command {
	return &cli.Command{
		Name:  "messages",
		Usage: "look at messages, in both directions; cancel, retry, mark as read",
		Description: "msgorch messages list --instance sales --since 1h --status failed\n" +
			"msgorch messages list --chat +5215550000001 -o json\n" +
			"msgorch messages show 0199a1b2-…\n" +
			"msgorch messages media 0199a1b2-… --to photo.jpg\n" +
			"msgorch messages cancel --instance sales --status scheduled\n" +
			"msgorch messages retry --status failed --since 2h",
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list messages, newest first", Action: a.listMessages,
				Flags: append(
					filterFlags(),
					&cli.StringFlag{Name: "direction", Usage: "only inbound or outbound `WAY`"},
					&cli.IntFlag{Name: "limit", Usage: "at most `N`", Value: history.DefaultLimit},
					&cli.StringFlag{Name: "cursor", Usage: "go on at the `CURSOR` that the last page ended with"},
				),
			},
			{Name: "show", Usage: "show one with its history and every attempt", ArgsUsage: "ID", Action: a.showMessage},
			a.messageFile(),
			a.cancelMessages(),
			a.retryMessages(),
			a.readMessages(),
		},
	}
}

// filterFlags are the flags that say which messages are meant.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "instance", Usage: "only of this `NAME`; repeat for more"},
		&cli.StringFlag{Name: "chat", Usage: "only of this `CHAT`: a number or a JID"},
		&cli.StringFlag{Name: "status", Usage: "only with this `STATUS`, such as failed"},
		&cli.StringFlag{Name: "q", Usage: "only texts with these `WORDS`, or beginnings of words"},
		&cli.StringFlag{Name: "since", Usage: "only from this `TIME` on: 2026-12-01T15:00:00Z, or 90m ago"},
		&cli.StringFlag{Name: "until", Usage: "only before this `TIME`, as in --since"},
	}
}

func (a *app) listMessages(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := known(ctx, db.New(pool), f.Instances); err != nil {
		return err
	}
	found, next, err := fullPage(ctx, history.New(pool), f)
	if err != nil {
		return err
	}
	list := page[history.Message]{Data: append([]history.Message{}, found...)}
	if next != "" {
		list.NextCursor = &next
	}
	return a.print(list, func() {
		a.table([]string{"ID", "TIME", "", "INSTANCE", "CHAT", "STATUS", "TEXT"}, messageRows(found))
		if next != "" {
			a.say("more: --cursor %s\n", next)
		}
	})
}

// fullPage lists as many messages as were asked for, although a page of a long
// history may end before it is full.
func fullPage(ctx context.Context, r *history.Reader, f history.Filter) (found []history.Message, next string, err error) {
	if f.Limit == 0 {
		f.Limit = history.DefaultLimit
	}
	for {
		some, next, err := r.List(ctx, f)
		found = append(found, some...)
		f.Limit -= len(some)
		if err != nil || next == "" || f.Limit <= 0 {
			return found, next, err
		}
		f.Cursor = next
	}
}

// filterOf reads the filter's flags, those that c has.
func filterOf(c *cli.Command) (f history.Filter, err error) {
	f = history.Filter{
		Chat: c.String("chat"), Direction: c.String("direction"), Status: c.String("status"), Query: c.String("q"),
		Limit: c.Int("limit"), Cursor: c.String("cursor"),
	}
	if names := c.StringSlice("instance"); len(names) > 0 {
		f.Instances = names
	}
	if f.Since, err = moment(c, "since", ago); err != nil {
		return f, err
	}
	f.Until, err = moment(c, "until", ago)
	return f, err
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

// known fails when an instance does not exist and never did, which is a typing
// mistake rather than an empty list.
func known(ctx context.Context, q *db.Queries, names []string) error {
	if len(names) == 0 {
		return nil
	}
	found, err := q.InstanceIDs(ctx, names)
	if err != nil {
		return fmt.Errorf("find instances: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(found, func(r db.InstanceIDsRow) bool { return r.Name == name }) {
			return unknownInstance(name)
		}
	}
	return nil
}

func messageRows(list []history.Message) [][]string {
	now := time.Now()
	rows := make([][]string, len(list))
	for i, m := range list {
		rows[i] = []string{m.ID.String(), clock(m.CreatedAt, now), arrow(m.Direction), m.Instance, m.Chat, m.Status, summary(m)}
	}
	return rows
}

// arrow points out to WhatsApp or in to us.
func arrow(direction string) string {
	if direction == string(db.MessageDirectionInbound) {
		return "←"
	}
	return "→"
}

// summary is a message's text, or what it is instead, and why it failed.
func summary(m history.Message) string {
	var parts []string
	if m.Type != "text" {
		parts = append(parts, "["+m.Type+"]")
	}
	if m.Text != nil {
		parts = append(parts, *m.Text)
	}
	if m.Error != nil {
		parts = append(parts, "("+m.Error.Code+")")
	}
	return strings.Join(parts, " ")
}

func (a *app) showMessage(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "ID")
	if err != nil {
		return err
	}
	id, err := uuid.Parse(args[0])
	if err != nil {
		return wrongUsage(c, errors.New("ID must be one that `msgorch messages list` shows"))
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := history.New(pool).Get(ctx, id)
	if err != nil {
		return err
	}
	return a.print(m, func() { a.showDetail(m) })
}

func (a *app) showDetail(m history.Detail) {
	a.fields([][2]string{
		{"id", m.ID.String()},
		{"instance", m.Instance},
		{"chat", m.Chat},
		{"direction", arrow(m.Direction) + " " + m.Direction},
		{"sender", deref(m.Sender)},
		{"status", m.Status},
		{"error", reason(m.Error)},
		{"type", m.Type},
		{"priority", m.Priority},
		{"send at", optional(m.SendAt)},
		{"expires at", optional(m.ExpiresAt)},
		{"reply to", optional(m.ReplyTo)},
		{"gateway's id", deref(m.GatewayMessageID)},
		{"metadata", string(m.Metadata)},
		{"file", fileState(m.Media)},
	})
	if m.Text != nil {
		a.say("\ntext\n")
		for line := range strings.Lines(*m.Text) {
			a.say("  %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	}
	a.say("\nhistory\n")
	for _, s := range m.History {
		a.say("  %s  %s\n", exactly(s.At), s.Status)
	}
	if len(m.Attempts) == 0 {
		return
	}
	a.say("\nattempts\n")
	rows := make([][]string, len(m.Attempts))
	for i, t := range m.Attempts {
		took := time.Duration(t.DurationMS) * time.Millisecond
		rows[i] = []string{fmt.Sprintf("  %d", t.Attempt), exactly(t.StartedAt), took.String(), t.Outcome, orDash(optional(t.HTTPStatus)), reason(t.Error)}
	}
	a.table([]string{"  NO", "STARTED", "TOOK", "OUTCOME", "HTTP", "ERROR"}, rows)
}

func exactly(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

func reason(e *history.Error) string {
	if e == nil {
		return ""
	}
	return e.Code + ": " + e.Message
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// optional writes what may be missing; a time in the operator's zone.
func optional[T any](v *T) string {
	if v == nil {
		return ""
	}
	if t, ok := any(*v).(time.Time); ok {
		return exactly(t)
	}
	return fmt.Sprint(*v)
}
