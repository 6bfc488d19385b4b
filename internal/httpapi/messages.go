package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

type sendInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this message: the same key and body again gives the same answer"`
	Body           sendBody
	RawBody        []byte
}

// sendBody has exactly one content field.
type sendBody struct {
	Instance  string         `json:"instance" minLength:"1" doc:"Name of the WhatsApp number to send from" example:"sales"`
	To        string         `json:"to" minLength:"1" doc:"E.164, its digits, or a JID" example:"+5215550000001"`
	Text      *string        `json:"text,omitempty" minLength:"1" maxLength:"65536" doc:"What to say" example:"Hola"`
	Priority  string         `json:"priority,omitempty" enum:"critical,default,bulk" doc:"Orders chats, never the messages of one chat; default: default"`
	SendAt    *time.Time     `json:"send_at,omitempty" doc:"When to send it, at most a year ahead"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty" doc:"When it is no longer worth sending"`
	ReplyTo   string         `json:"reply_to,omitempty" doc:"Id of a message of the same chat"`
	Metadata  map[string]any `json:"metadata,omitempty" doc:"Your own JSON object, at most 16 KiB"`

	tasks.Content
}

type sendOutput struct {
	Location string `header:"Location"`
	Replayed string `header:"Idempotency-Replayed" doc:"true when the key named this message before"`
	Body     history.Message
}

func (s *server) sendMessage(ctx context.Context, in *sendInput) (*sendOutput, error) {
	if err := in.Body.check(in.RawBody); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	m := in.Body.message(in.IdempotencyKey)
	if err := reach(ctx, m.Instance); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	r, err := s.Outbox.Accept(ctx, m)
	if err != nil {
		where := "body"
		if fault.Of(err).Field == "key" {
			where = "header.Idempotency-Key"
		}
		return nil, s.fail(ctx, where, err)
	}
	out := &sendOutput{Location: "/v1/messages/" + r.ID.String(), Body: accepted(m, r)}
	if r.Replayed {
		out.Replayed = "true"
	}
	return out, nil
}

// check says what is wrong with the contents, which no schema can say.
func (b sendBody) check(raw []byte) error {
	if field := brokenText(raw); field != "" {
		return fault.New(fault.Invalid, "invalid_text", "The field "+field+" holds a lone surrogate or bytes that are not UTF-8.").At(field)
	}
	switch n := b.Parts(); {
	case b.Text == nil && n == 0:
		return fault.New(fault.Invalid, "missing_content", "The message has no content: give it a text.").At("text")
	case n > 1 || b.Text != nil && n == 1:
		return fault.New(fault.Invalid, "several_contents", "The message has several contents: give it exactly one.").At("text")
	case b.ReplyTo != "" && b.Reaction != nil:
		return fault.New(fault.Invalid, "several_contents", "A reaction answers nothing: it names its message in reaction.to.").At("reply_to")
	}
	return nil
}

func (b sendBody) message(key string) tasks.SendMessage {
	m := tasks.SendMessage{
		Key: key, Instance: b.Instance, To: b.To, Content: b.Content, Priority: b.Priority,
		ReplyTo: b.ReplyTo, Metadata: b.Metadata,
	}
	if b.Text != nil {
		m.Text = *b.Text
	}
	if b.SendAt != nil {
		m.SendAt = *b.SendAt
	}
	if b.ExpiresAt != nil {
		m.ExpiresAt = *b.ExpiresAt
	}
	return m
}

// accepted is the resource of a message at the moment it was accepted, so that
// the same request gives the same answer however far the message has come.
func accepted(m tasks.SendMessage, r outbox.Receipt) history.Message {
	out := history.Message{
		ID: r.ID, Instance: m.Instance, Chat: r.Chat, Direction: string(db.MessageDirectionOutbound), Status: r.Status,
		Type: m.Type(), Content: contentOf(m.Content), Priority: tasks.QueueOf(m.Priority),
		Metadata: json.RawMessage("{}"), CreatedAt: r.CreatedAt.UTC(),
	}
	if len(m.Metadata) > 0 {
		out.Metadata, _ = json.Marshal(m.Metadata) // it was encoded before
	}
	if words := m.Text + m.Words(); words != "" { // it has one of them
		out.Text = &words
	}
	target := m.ReplyTo
	if m.Reaction != nil {
		target = m.Reaction.To
	}
	if id, err := uuid.Parse(target); err == nil {
		out.ReplyTo = &id
	}
	if !m.SendAt.IsZero() {
		t := m.SendAt.UTC()
		out.SendAt = &t
	}
	if !m.ExpiresAt.IsZero() {
		t := m.ExpiresAt.UTC()
		out.ExpiresAt = &t
	}
	return out
}

// contentOf is a content as it is shown: without its file.
func contentOf(c tasks.Content) (out gateway.Content) {
	if c.Parts() == 0 {
		return gateway.Content{} // a text alone
	}
	encoded, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(encoded, &out) // the same names
	}
	if err != nil {
		return gateway.Content{} // it was judged before
	}
	if out.Media != nil {
		out.Media.Base64 = ""
	}
	return out
}

type messageInput struct {
	ID string `path:"id" doc:"Id of the message"`
}

type messageOutput struct{ Body history.Message }

func (s *server) getMessage(ctx context.Context, in *messageInput) (*detailOutput, error) {
	d, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	return &detailOutput{d}, nil
}

// find returns a message that the request's key may see.
func (s *server) find(ctx context.Context, text string) (history.Detail, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return history.Detail{}, fault.New(fault.NotFound, "unknown_message", "There is no such message.")
	}
	d, err := s.History.Get(ctx, id)
	if err != nil {
		return d, err
	}
	return d, reach(ctx, d.Instance)
}

func (s *server) cancelMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	return s.change(ctx, in.ID, "Only a message that is not sent yet can be canceled.", db.New(s.Pool).CancelMessage)
}

func (s *server) retryMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	out, err := s.change(ctx, in.ID, "Only a message that failed, expired or is in doubt can be sent again.", db.New(s.Pool).RetryMessage)
	if err == nil {
		_ = db.New(s.Pool).WakeRelay(ctx) // a second later it would wake by itself
	}
	return out, err
}

// change moves a message to another status, if it is in one that allows it.
func (s *server) change(ctx context.Context, text, otherwise string, do func(context.Context, uuid.UUID) (uuid.UUID, error)) (*messageOutput, error) {
	d, err := s.find(ctx, text)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	if _, err = do(ctx, d.ID); err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, fault.New(fault.Conflict, "wrong_status", otherwise)))
	}
	d, err = s.History.Get(ctx, d.ID)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	return &messageOutput{d.Message}, nil
}

// Filter says which messages are meant. It is exported because huma does not
// look into embedded structs that are not.
type Filter struct {
	Instance  string    `query:"instance" doc:"Name of an instance"`
	Chat      string    `query:"chat" doc:"JID or phone number"`
	Direction string    `query:"direction" enum:"inbound,outbound"`
	Status    string    `query:"status"`
	Query     string    `query:"q" doc:"Words that the text has; a word matches its beginnings"`
	Since     time.Time `query:"since" doc:"From this time on"`
	Until     time.Time `query:"until" doc:"Before this time"`
}

type listInput struct {
	Filter
	Overdue bool   `query:"ack_overdue" doc:"Only messages that their gateway took and has said nothing more of; goes with instance, since and until alone"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before"`
}

type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor" doc:"Null on the last page. Until then a page may be shorter than its limit, even empty: of a long history it ends after a while of looking for what the filter wants"`
}

type pageOutput[T any] struct{ Body page[T] }

func pageOf[T any](data []T, next string) *pageOutput[T] {
	out := &pageOutput[T]{page[T]{Data: data}}
	if data == nil {
		out.Body.Data = []T{}
	}
	if next != "" {
		out.Body.NextCursor = &next
	}
	return out
}

func (s *server) listMessages(ctx context.Context, in *listInput) (*pageOutput[history.Message], error) {
	f, err := in.filter(ctx)
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	f.Overdue, f.Limit, f.Cursor = in.Overdue, in.Limit, in.Cursor
	data, next, err := s.History.List(ctx, f)
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	return pageOf(data, next), nil
}

// filter is the request's filter, within what its key is good for.
func (in Filter) filter(ctx context.Context) (history.Filter, error) {
	f := history.Filter{
		Chat: in.Chat, Direction: in.Direction, Status: in.Status, Query: in.Query, Since: in.Since, Until: in.Until,
	}
	if key := keyFrom(ctx); len(key.Instances) > 0 {
		f.Instances = key.Instances
	}
	if in.Instance == "" {
		return f, nil
	}
	f.Instances = []string{in.Instance}
	return f, reach(ctx, in.Instance)
}

type countOutput struct {
	Body struct {
		Count int `json:"count" doc:"How many messages were changed"`
	}
}

func (s *server) cancelMessages(ctx context.Context, in *Filter) (*countOutput, error) {
	return s.changeAll(ctx, in, s.History.Cancel)
}

func (s *server) retryMessages(ctx context.Context, in *Filter) (*countOutput, error) {
	return s.changeAll(ctx, in, s.History.Retry)
}

func (s *server) changeAll(ctx context.Context, in *Filter, do func(context.Context, history.Filter) (int, error)) (*countOutput, error) {
	f, err := in.filter(ctx)
	if err == nil && in.Instance == "" && in.Chat == "" && in.Status == "" && strings.TrimSpace(in.Query) == "" && in.Since.IsZero() && in.Until.IsZero() {
		err = history.ErrFilterRequired() // that the key is good for some instances only is no filter
	}
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	out := &countOutput{}
	if out.Body.Count, err = do(ctx, f); err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	return out, nil
}

// brokenText returns the name of the first field of a JSON object that holds a
// lone surrogate or bytes that are not UTF-8; encoding/json would quietly
// replace them, and the message would not say what its author wrote.
func brokenText(raw []byte) string {
	if !broken(raw) {
		return ""
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return "text"
	}
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			break
		}
		if field, ok := name.(string); ok && broken(value) {
			return field
		}
	}
	return "text"
}
