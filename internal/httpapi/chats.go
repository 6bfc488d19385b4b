package httpapi

import (
	"context"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/history"
)

func (s *server) listChats(ctx context.Context, in *struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor   string `query:"cursor" doc:"next_cursor of the page before"`
},
) (*pageOutput[history.Chat], error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	data, next, err := s.History.Chats(ctx, in.Instance, in.Limit, in.Cursor)
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	return pageOf(data, next), nil
}

func (s *server) listChatMessages(ctx context.Context, in *struct {
	Instance  string    `path:"instance" doc:"Name of the instance"`
	JID       string    `path:"jid" doc:"JID or phone number"`
	Direction string    `query:"direction" enum:"inbound,outbound"`
	Status    string    `query:"status"`
	Query     string    `query:"q" doc:"Words that the text has; a word matches its beginnings"`
	Since     time.Time `query:"since" doc:"From this time on"`
	Until     time.Time `query:"until" doc:"Before this time"`
	Limit     int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor    string    `query:"cursor" doc:"next_cursor of the page before"`
},
) (*pageOutput[history.Message], error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	if _, err := db.New(s.Pool).InstanceByName(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, unknownInstance()))
	}
	data, next, err := s.History.List(ctx, history.Filter{
		Instances: []string{in.Instance}, Chat: in.JID, Direction: in.Direction, Status: in.Status, Query: in.Query,
		Since: in.Since, Until: in.Until, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	return pageOf(data, next), nil
}

type chatOutput struct {
	Body history.ChatDetail
}

func (s *server) getChat(ctx context.Context, in *struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	JID      string `path:"jid" doc:"Any of its JIDs, or its phone number"`
},
) (*chatOutput, error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	c, err := s.History.Chat(ctx, in.Instance, in.JID)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	return &chatOutput{c}, nil
}

func (s *server) listCalls(ctx context.Context, in *struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor   string `query:"cursor" doc:"next_cursor of the page before"`
},
) (*pageOutput[history.Call], error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	data, next, err := s.History.Calls(ctx, in.Instance, in.Limit, in.Cursor)
	if err != nil {
		return nil, s.fail(ctx, "query", err)
	}
	return pageOf(data, next), nil
}

func (s *server) listLabels(ctx context.Context, in *struct {
	Instance string `path:"instance" doc:"Name of the instance"`
},
) (*pageOutput[history.Label], error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	data, err := s.History.Labels(ctx, in.Instance)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	return pageOf(data, ""), nil
}
