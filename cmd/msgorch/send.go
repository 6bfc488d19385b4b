package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

func (a *app) send() *cli.Command {
	return &cli.Command{
		Name: "send", Usage: "send a text, or one to everybody in a file", ArgsUsage: "TEXT|-", Action: a.sendAny,
		Description: "TEXT is one argument; - reads it from standard input. The message is committed when the\n" +
			"command returns, and a worker sends it.\n\n" +
			"msgorch send --instance sales --to +5215550000001 'Hola'\n" +
			"msgorch send --instance sales --to +5215550000001 --wait 10s - < letter.txt\n" +
			"msgorch send --instance sales --to 120363000000000001@g.us --send-at 2h --priority bulk 'News'\n\n" +
			fileHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "instance", Usage: "`NAME` of the number to send from", Required: true},
			&cli.StringFlag{Name: "to", Usage: "`RECIPIENT`: a number such as +5215550000001, or a JID"},
			&cli.StringFlag{Name: "key", Usage: "idempotency `KEY`: two sends with the same are one message"},
			&cli.StringFlag{Name: "priority", Usage: "`PRIORITY`: critical, default or bulk"},
			&cli.StringFlag{Name: "send-at", Usage: "`TIME` to send it: 2026-12-01T15:00:00Z, or 90m from now"},
			&cli.StringFlag{Name: "expires-at", Usage: "`TIME` after which not to send it any more, as in --send-at"},
			&cli.StringFlag{Name: "reply-to", Usage: "`ID` of the message it answers"},
			&cli.DurationFlag{Name: "wait", Usage: "wait up to this `LONG` until the gateway took it, such as 10s"},
		}, fileFlags()...),
	}
}

// sendAny sends one text, or those of a file.
func (a *app) sendAny(ctx context.Context, c *cli.Command) error {
	if c.IsSet("file") {
		return a.sendFile(ctx, c)
	}
	for _, f := range fileFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return wrongUsage(c, fmt.Errorf("--%s needs --file", name))
		}
	}
	if !c.IsSet("to") {
		return wrongUsage(c, errors.New("needs --to, or --file"))
	}
	return a.sendText(ctx, c)
}

// sent is a message that was accepted, and how far it has come.
type sent struct {
	ID        uuid.UUID      `json:"id"`
	Instance  string         `json:"instance"`
	Chat      string         `json:"chat"`
	Status    string         `json:"status"`
	CreatedAt time.Time      `json:"created_at"`
	Replayed  bool           `json:"replayed"` // its key named this same message before
	Error     *history.Error `json:"error"`
}

func (a *app) sendText(ctx context.Context, c *cli.Command) error {
	m, err := a.messageOf(c)
	if err != nil {
		return err
	}
	cfg, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := a.accept(ctx, pool, cfg.Redis, m)
	if err != nil {
		return err
	}
	var late error
	if patience := c.Duration("wait"); patience > 0 {
		late = s.wait(ctx, history.New(pool), patience)
	}
	err = a.print(s, func() {
		a.say("%s  %s  %s\n", s.ID, s.Status, s.Chat)
		if s.Error != nil {
			a.say("%s: %s\n", s.Error.Code, printable(s.Error.Message))
		}
	})
	return errors.Join(err, late)
}

func (a *app) messageOf(c *cli.Command) (m tasks.SendMessage, err error) {
	args, err := arguments(c, "TEXT|-")
	if err != nil {
		return m, err
	}
	m = tasks.SendMessage{
		Key: c.String("key"), Instance: c.String("instance"), To: c.String("to"), Text: args[0],
		Priority: c.String("priority"), ReplyTo: c.String("reply-to"),
	}
	if m.SendAt, err = moment(c, "send-at", time.Now().Add); err != nil {
		return m, err
	}
	if m.ExpiresAt, err = moment(c, "expires-at", time.Now().Add); err != nil {
		return m, err
	}
	if m.Text != "-" {
		return m, nil
	}
	text, err := io.ReadAll(a.stdin)
	if err != nil {
		return m, fmt.Errorf("read the text: %w", err)
	}
	m.Text = strings.TrimRight(string(text), "\r\n")
	return m, nil
}

// moment reads the flag of a time: RFC 3339, or a duration that relative turns
// into a time. A flag that is not set gives the zero time.
func moment(c *cli.Command, flag string, relative func(time.Duration) time.Time) (time.Time, error) {
	s := c.String(flag)
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return relative(d), nil
	}
	return time.Time{}, wrongUsage(c, fmt.Errorf("--%s must be a time such as 2026-12-01T15:00:00Z, or a duration such as 90m", flag))
}

// accept commits m and tells Redis.
func (a *app) accept(ctx context.Context, pool *pgxpool.Pool, redis asynq.RedisConnOpt, m tasks.SendMessage) (*sent, error) {
	ob, finish := a.outbox(pool, redis)
	defer finish(ctx)
	r, err := ob.Send(ctx, m)
	if err != nil {
		return nil, err
	}
	return &sent{ID: r.ID, Instance: m.Instance, Chat: r.Chat, Status: r.Status, CreatedAt: r.CreatedAt.UTC(), Replayed: r.Replayed}, nil
}

// outbox returns an outbox, and what to call in the end: it waits until Redis
// heard of everything, and says once if that failed.
func (a *app) outbox(pool *pgxpool.Pool, redis asynq.RedisConnOpt) (ob *outbox.Outbox, finish func(context.Context)) {
	client := asynq.NewClient(redis)
	ob = outbox.New(pool, client)
	unqueued := make(chan error, 1)
	ob.OnUnqueued = func(err error) {
		select {
		case unqueued <- err:
		default:
		}
	}
	return ob, func(ctx context.Context) {
		defer client.Close()
		if err := ob.Close(ctx); err != nil {
			return // interrupted; a worker finds it
		}
		select {
		case err := <-unqueued:
			a.note("warning: Redis did not hear of everything; it is stored, and a worker will find it: %v", err)
		default:
		}
	}
}

// wait follows the message until the gateway took it. It fails when the message
// will not be sent, or was not within patience.
func (s *sent) wait(ctx context.Context, look *history.Reader, patience time.Duration) error {
	const often = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		found, err := look.Messages(ctx, []uuid.UUID{s.ID})
		if ctx.Err() != nil {
			return s.late(ctx, patience)
		}
		if err != nil {
			return err
		}
		for _, m := range found {
			s.Status, s.Error = m.Status, m.Error
		}
		switch progress(s.Status) {
		case taken, done:
			return nil
		case stopped:
			return fmt.Errorf("the message is %s", s.Status)
		case open:
		}
		select {
		case <-ctx.Done():
			return s.late(ctx, patience)
		case <-ticker.C:
		}
	}
}

func (s *sent) late(ctx context.Context, patience time.Duration) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("the message is still %s after %v; see `msgorch messages show %s`", s.Status, patience, s.ID)
}

// stage is how much is still to come for a message.
type stage int

const (
	open    stage = iota // not handed to the gateway, or nobody knows
	taken                // the gateway has it; evidence follows
	done                 // nothing follows
	stopped              // it was not sent
)

// progress returns the stage that a status belongs to.
func progress(status string) stage {
	switch db.MessageStatus(status) {
	case db.MessageStatusScheduled, db.MessageStatusQueued, db.MessageStatusSending, db.MessageStatusUnknown:
		return open
	case db.MessageStatusAccepted, db.MessageStatusSent, db.MessageStatusDelivered:
		return taken
	case db.MessageStatusReceived, db.MessageStatusRead, db.MessageStatusPlayed:
		return done
	case db.MessageStatusFailed, db.MessageStatusCanceled, db.MessageStatusExpired:
		return stopped
	}
	return open
}
