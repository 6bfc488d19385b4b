package main

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/history"
)

// How tail looks.
const (
	tailInterval = 250 * time.Millisecond
	tailBehind   = time.Hour // gateways date inbound messages themselves, and may bring them late
	tailPages    = 5         // of history.MaxLimit messages that may be new at one look
	tailWatched  = 500       // messages whose status is looked at again
	tailKnown    = 2000      // messages that are not new; more than all pages hold
)

func (a *app) tail() *cli.Command {
	return &cli.Command{
		Name: "tail", Usage: "follow messages as they move, until Ctrl-C", Action: a.follow,
		Description: "A line for each new message and each change of status. Without --text nothing of what people\n" +
			"write is shown. With -o json each line is a document.\n\n" +
			"msgorch tail --instance sales --text",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "instance", Usage: "only of this `NAME`; repeat for more"},
			&cli.StringFlag{Name: "chat", Usage: "only of this `CHAT`: a number or a JID"},
			&cli.BoolFlag{Name: "text", Usage: "show the texts too"},
		},
	}
}

func (a *app) follow(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	f := history.Filter{Chat: c.String("chat"), Since: ago(tailBehind), Limit: history.MaxLimit}
	if names := c.StringSlice("instance"); len(names) > 0 {
		f.Instances = names
	}
	if err := known(ctx, db.New(pool), f.Instances); err != nil {
		return err
	}
	w := watch{look: history.New(pool), filter: f, status: map[uuid.UUID]string{}}
	if _, err := w.moved(ctx); err != nil { // what is there already is not news
		return err
	}
	ticker := time.NewTicker(tailInterval)
	defer ticker.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		moved, err := w.moved(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && fault.Of(err).Kind != fault.Unavailable:
			return err
		case err != nil && !away:
			a.note("warning: trying until it works again: %s", explain(err))
		}
		away = err != nil
		for _, m := range moved {
			if err := a.printMove(m, c.Bool("text")); err != nil {
				return err
			}
		}
	}
}

// watch knows what was seen of messages, to tell what is new.
type watch struct {
	look   *history.Reader
	filter history.Filter
	status map[uuid.UUID]string // of every message that is known
	known  []uuid.UUID          // the same, oldest first
}

// moved returns the messages that are new since the last call, or have another
// status, in the order in which that happened.
func (w *watch) moved(ctx context.Context) ([]history.Message, error) {
	again, err := w.look.Messages(ctx, w.unfinished())
	if err != nil {
		return nil, err
	}
	moved, err := w.fresh(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range again {
		if w.status[m.ID] != m.Status {
			moved = append(moved, m)
		}
	}
	slices.SortStableFunc(moved, func(a, b history.Message) int { return movedAt(a).Compare(movedAt(b)) })
	for _, m := range moved {
		w.remember(m)
	}
	return moved, nil
}

// unfinished returns the newest messages about which more is to be told.
func (w *watch) unfinished() []uuid.UUID {
	ids := []uuid.UUID{}
	for _, id := range slices.Backward(w.known) {
		if s := progress(w.status[id]); (s == open || s == taken) && len(ids) < tailWatched {
			ids = append(ids, id)
		}
	}
	return ids
}

// fresh returns messages that are not known, oldest first. It turns pages until
// one has nothing new.
func (w *watch) fresh(ctx context.Context) (fresh []history.Message, err error) {
	f := w.filter
	for range tailPages {
		page, next, err := w.look.List(ctx, f)
		if err != nil {
			return nil, err
		}
		before := len(fresh)
		for _, m := range page {
			if _, seen := w.status[m.ID]; !seen {
				fresh = append(fresh, m)
			}
		}
		if next == "" || len(fresh) == before {
			break
		}
		f.Cursor = next
	}
	slices.Reverse(fresh)
	return fresh, nil
}

func (w *watch) remember(m history.Message) {
	if _, seen := w.status[m.ID]; !seen {
		w.known = append(w.known, m.ID)
	}
	w.status[m.ID] = m.Status
	if over := len(w.known) - tailKnown; over > 0 {
		for _, id := range w.known[:over] {
			delete(w.status, id)
		}
		w.known = slices.Delete(w.known, 0, over)
	}
}

// movedAt is when a message reached its status, as far as it says.
func movedAt(m history.Message) time.Time {
	at := m.CreatedAt
	for _, t := range []*time.Time{m.AcceptedAt, m.SentAt, m.DeliveredAt, m.ReadAt, m.FailedAt} {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	return at
}

// move is a line of tail as JSON.
type move struct {
	At        time.Time      `json:"at"`
	ID        uuid.UUID      `json:"id"`
	Instance  string         `json:"instance"`
	Chat      string         `json:"chat"`
	Direction string         `json:"direction"`
	Type      string         `json:"type"`
	Status    string         `json:"status"`
	Error     *history.Error `json:"error,omitempty"`
	Text      *string        `json:"text,omitempty"` // only when asked for
}

func (a *app) printMove(m history.Message, withText bool) error {
	at := movedAt(m)
	if a.format == formatJSON {
		line := move{
			At: at, ID: m.ID, Instance: m.Instance, Chat: m.Chat, Direction: m.Direction, Type: m.Type, Status: m.Status, Error: m.Error,
		}
		if withText {
			line.Text = m.Text
		}
		return a.printJSON(line, "")
	}
	if !withText {
		m.Text = nil
	}
	line := at.Local().Format("15:04:05.000") + "  " + m.ID.String() + "  " + arrow(m.Direction) + " " + m.Instance + "  " + m.Chat + "  " + m.Status
	if s := summary(m); s != "" {
		line += "  " + s
	}
	a.say("%s\n", cut(printable(line), width(a.stdout)))
	return nil
}
