package httpapi

import (
	"context"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/tasks"
)

type detailOutput struct{ Body history.Detail }

func (s *server) readMessage(ctx context.Context, in *messageInput) (*detailOutput, error) {
	d, err := s.find(ctx, in.ID)
	if err == nil && d.Direction != string(db.MessageDirectionInbound) {
		err = fault.New(fault.Conflict, "wrong_status", "Only an inbound message can be marked as read.")
	}
	if err == nil {
		err = s.Desk.Read(ctx, d.ID, d.Instance)
	}
	if err == nil {
		d, err = s.History.Get(ctx, d.ID)
	}
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	return &detailOutput{d}, nil
}

type typingInput struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	JID      string `path:"jid" doc:"JID or phone number"`
	Body     struct {
		State string `json:"state" enum:"composing,recording,paused" doc:"What to show; paused ends it"`
		ForMS *int64 `json:"for_ms,omitempty" minimum:"1" maximum:"25000" doc:"For how many milliseconds; default 10000. A message that is sent ends it"`
	}
}

// typingFor is how long a sign is shown, in milliseconds, when nobody says.
const typingFor = 10_000

func (s *server) showTyping(ctx context.Context, in *typingInput) (*struct{}, error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	if _, err := db.New(s.Pool).InstanceByName(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, unknownInstance()))
	}
	chat, err := tasks.ChatOf(in.JID)
	if err != nil {
		return nil, s.fail(ctx, "path", fault.New(fault.Invalid, "invalid_jid", "The parameter jid must be a phone number or the JID of a person or group.").At("jid"))
	}
	t := tasks.ShowTyping{Instance: in.Instance, Chat: chat, State: in.Body.State, ForMS: typingFor}
	if in.Body.ForMS != nil {
		t.ForMS = *in.Body.ForMS
	}
	if err := s.Desk.Type(ctx, t); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	return nil, nil //nolint:nilnil // huma's way to answer without a body
}
