package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/tasks"
)

const (
	movedAtOnce = 500  // messages of the past, in one transaction
	movedLast   = 1000 // messages of the past that may be left for the last one
	mergeTries  = 40   // to find both chats at rest, before the task comes back
	mergePause  = 50 * time.Millisecond
	mergeAgain  = time.Second
)

// Merge handles a task that makes one chat of two. The past moves first, a little
// at a time. Then, in one transaction, everybody is kept from adding to either
// chat, and what is open moves together: were it to move one by one, a message
// could overtake another of its chat. From then on the messages of both stand in
// the order in which they were accepted.
//
// It waits for nobody while it holds a chat, so that nobody waits for it; when the
// chats are in use just then, it tries again.
func (s *Service) Merge(ctx context.Context, t tasks.MergeChats) error {
	for range mergeTries {
		done, err := s.mergeOnce(ctx, t.Chat)
		switch {
		case err == nil && done:
			return nil
		case err != nil && !db.Busy(err):
			return fmt.Errorf("merge chats: %w", err)
		case err == nil:
			continue
		}
		pause := time.NewTimer(rand.N(mergePause))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
	return fault.New(fault.Throttled, "chat_busy", "The chats are in use.").RetryAfter(mergeAgain)
}

// mergeOnce goes one step of the way.
func (s *Service) mergeOnce(ctx context.Context, chat int64) (done bool, err error) {
	into, err := db.New(s.c.Pool).MergeOf(ctx, chat)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	past, err := s.movePast(ctx, chat, into)
	if err != nil || past == movedAtOnce {
		return false, err
	}
	return s.joinChats(ctx, chat, into)
}

// movePast moves some messages that are settled, and answers how many.
func (s *Service) movePast(ctx context.Context, chat, into int64) (n int, err error) {
	err = db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		ids, err := q.LockSettled(ctx, db.LockSettledParams{ChatID: chat, MaxRows: movedAtOnce})
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		return move(ctx, q, chat, into, ids)
	})
	return n, err
}

func move(ctx context.Context, q *db.Queries, chat, into int64, ids []uuid.UUID) error {
	if err := q.DropDoubles(ctx, db.DropDoublesParams{Ids: ids, ChatID: chat, IntoID: into}); err != nil {
		return err
	}
	_, err := q.MoveMessages(ctx, db.MoveMessagesParams{Ids: ids, ChatID: chat, IntoID: into})
	return err
}

// joinChats moves what is left of a chat, and ends it.
func (s *Service) joinChats(ctx context.Context, chat, into int64) (done bool, err error) {
	var open int
	err = db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		done, open = false, 0
		both, err := q.LockChats(ctx, []int64{chat, into})
		if err != nil || len(both) < 2 {
			return err // merged by another task meanwhile, into yet another chat perhaps
		}
		rest, err := q.LockAll(ctx, chat)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(rest))
		for i, m := range rest {
			ids[i] = m.ID
			if m.Open {
				open++
			}
		}
		if len(rest)-open > movedLast {
			return nil
		}
		if err := move(ctx, q, chat, into, ids); err != nil {
			return err
		}
		done = true
		return end(ctx, q, chat, into)
	})
	if err == nil && done {
		s.c.Log.LogAttrs(ctx, slog.LevelInfo, "chat.merged", slog.Int64("chat_row", chat), slog.Int64("into_row", into), slog.Int("open", open))
	}
	return done && err == nil, err
}

// end gives one chat the rest of what the other was.
func end(ctx context.Context, q *db.Queries, chat, into int64) error {
	rows, err := q.AddressesOfChats(ctx, []int64{chat, into})
	if err != nil || len(rows) == 0 {
		return err
	}
	best := ""
	for _, r := range rows {
		if best == "" || address.KindOf(r.Jid) > address.KindOf(best) || address.KindOf(r.Jid) == address.KindOf(best) && r.ChatID == into {
			best = r.Jid
		}
	}
	if err := q.JoinChats(ctx, db.JoinChatsParams{ChatID: chat, IntoID: into, Jid: best}); err != nil {
		return err
	}
	if err := q.EndChat(ctx, chat); err != nil {
		return err
	}
	if err := q.SetChatJID(ctx, db.SetChatJIDParams{ID: into, Jid: best}); err != nil {
		return err
	}
	return q.LookAfterChat(ctx, into) // who waited in one may be the first of both
}
