package history

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/tasks"
)

// ChatDetail is a conversation with what is known around it.
type ChatDetail struct {
	JID           string     `json:"jid" doc:"Where its messages are sent"`
	Aliases       []string   `json:"aliases" doc:"Its other addresses: they lead to the same conversation"`
	Name          *string    `json:"name"`
	Unread        int        `json:"unread"`
	LastMessageAt *time.Time `json:"last_message_at"`
	LastMessage   *Message   `json:"last_message"`
	Labels        []Label    `json:"labels" doc:"Labels of the WhatsApp Business app"`
	Presence      []Presence `json:"presence" doc:"What people were doing when the gateway last said so; forgotten after a day"`
	Group         *Group     `json:"group" doc:"null for a chat with one person, and for a group of which nothing was told"`
}

// Label is a label of the WhatsApp Business app.
type Label struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Color int    `json:"color" doc:"Index in WhatsApp's palette"`
}

// Presence is what somebody was doing.
type Presence struct {
	JID        string     `json:"jid"`
	State      string     `json:"state" enum:"available,unavailable,composing,recording,paused"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	At         time.Time  `json:"at" doc:"When the gateway said so"`
}

// Group is what is known of a group beside its messages.
type Group struct {
	Description  *string       `json:"description"`
	Owner        *string       `json:"owner" doc:"JID"`
	Participants []Participant `json:"participants"`
}

// Participant is a member of a group.
type Participant struct {
	JID   string  `json:"jid"`
	Name  *string `json:"name"`
	Admin bool    `json:"admin"`
}

// Call is a call that somebody made to us.
type Call struct {
	ID        string    `json:"id" doc:"The gateway's own id"`
	Chat      string    `json:"chat" doc:"JID of who called"`
	Video     bool      `json:"video"`
	Status    string    `json:"status" enum:"offer,ringing,accept,reject,timeout,terminate"`
	StartedAt time.Time `json:"started_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// Chat returns a conversation of an instance by any of its addresses.
func (r *Reader) Chat(ctx context.Context, instance, chat string) (ChatDetail, error) {
	i, err := r.instance(ctx, instance)
	if err != nil {
		return ChatDetail{}, err
	}
	jid, err := tasks.ChatOf(chat)
	if err != nil {
		return ChatDetail{}, invalid("chat", "is no JID or phone number")
	}
	row, err := db.New(r.pool).ChatDetail(ctx, db.ChatDetailParams{InstanceID: i.ID, Address: address.Of(jid)})
	if errors.Is(err, pgx.ErrNoRows) {
		return ChatDetail{}, fault.New(fault.NotFound, "unknown_chat", "The instance has no such conversation.")
	}
	if err != nil {
		return ChatDetail{}, away(err)
	}
	c := ChatDetail{JID: row.Jid, Aliases: row.Aliases, Unread: int(row.Unread), LastMessageAt: utc(row.LastMessageAt)}
	if row.Name != "" {
		c.Name = &row.Name
	}
	if err := errors.Join(json.Unmarshal(row.Labels, &c.Labels), json.Unmarshal(row.Presence, &c.Presence)); err != nil {
		return ChatDetail{}, err
	}
	if len(row.GroupDetail) > 0 {
		if err := json.Unmarshal(row.GroupDetail, &c.Group); err != nil {
			return ChatDetail{}, err
		}
	}
	if row.LastMessageID != uuid.Nil {
		last, err := r.Messages(ctx, []uuid.UUID{row.LastMessageID})
		if err != nil {
			return ChatDetail{}, err
		}
		if len(last) > 0 {
			c.LastMessage = &last[0]
		}
	}
	return c, nil
}

// Calls returns a page of an instance's calls, the newest first, and the cursor of
// the next page.
func (r *Reader) Calls(ctx context.Context, instance string, limit int, after string) (page []Call, next string, err error) {
	n, before, err := position(limit, after)
	if err != nil {
		return nil, "", err
	}
	i, err := r.instance(ctx, instance)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.New(r.pool).ListCalls(ctx, db.ListCallsParams{InstanceID: i.ID, BeforeAt: before.at, BeforeID: before.n, MaxRows: n + 1})
	if err != nil {
		return nil, "", away(err)
	}
	if len(rows) > int(n) {
		rows = rows[:n]
		next = cursor{at: rows[n-1].StartedAt, n: rows[n-1].ID}.String()
	}
	page = make([]Call, len(rows))
	for k, c := range rows {
		page[k] = Call{ID: c.Call, Chat: c.Chat, Video: c.Video, Status: c.Status, StartedAt: c.StartedAt.UTC(), ChangedAt: c.ChangedAt.UTC()}
	}
	return page, next, nil
}

// Labels returns an instance's labels.
func (r *Reader) Labels(ctx context.Context, instance string) ([]Label, error) {
	i, err := r.instance(ctx, instance)
	if err != nil {
		return nil, err
	}
	rows, err := db.New(r.pool).ListLabels(ctx, i.ID)
	if err != nil {
		return nil, away(err)
	}
	labels := make([]Label, len(rows))
	for k, l := range rows {
		labels[k] = Label{ID: l.Label, Name: l.Name, Color: int(l.Color)}
	}
	return labels, nil
}

// instance finds an instance by its name.
func (r *Reader) instance(ctx context.Context, name string) (db.Instance, error) {
	i, err := db.New(r.pool).InstanceByName(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) || !storable(name) {
		return i, fault.New(fault.NotFound, "unknown_instance", "No instance has this name.")
	}
	return i, away(err)
}

// position reads where a page of a list without a filter begins.
func position(limit int, after string) (n int32, before cursor, err error) {
	if n, err = limitOf(limit); err != nil {
		return 0, before, err
	}
	before = cursor{at: time.Unix(0, 0).AddDate(8000, 0, 0), n: math.MaxInt64}
	if after != "" {
		before, err = parseCursor(after)
	}
	return n, before, err
}
