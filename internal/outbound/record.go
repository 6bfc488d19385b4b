package outbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

// settlement is what came of a claim.
type settlement struct {
	head    head
	status  db.MessageStatus // the message's next one
	answer  gateway.Answer
	started time.Time
	took    time.Duration
	wait    time.Duration // before the next attempt, or before the gateway is asked; negative: held for a person
	refund  bool          // it does not count as one of the message's attempts
	unsent  bool          // the gateway was not asked: no attempt to log
}

// settled is what recording a settlement found out.
type settled struct {
	ours  bool  // no later attempt was begun
	chat  int64 // where the message is now: chats are merged
	early bool  // evidence was waiting for the gateway's id
	more  bool  // there may be more to send in the chat
}

// claim leases the heads of the chats of messages. It does not end with ctx: a
// claim whose answer nobody takes would be renewed for ever.
func (s *Service) claim(ctx context.Context, ids []uuid.UUID) ([]head, error) {
	return s.claims.Do(context.WithoutCancel(ctx), ids)
}

// claimBatch claims heads for everyone who waits for some.
func (s *Service) claimBatch(ctx context.Context, batch [][]uuid.UUID) ([][]head, error) {
	asker := map[uuid.UUID]int{}
	var ids []uuid.UUID
	for i, asked := range batch {
		for _, id := range asked {
			asker[id] = i
			ids = append(ids, id)
		}
	}
	asked := time.Now()
	rows, err := db.New(s.c.Pool).ClaimHeads(ctx, db.ClaimHeadsParams{Ids: ids, Lease: LeaseTime})
	if err != nil {
		return nil, fmt.Errorf("claim heads: %w", err)
	}
	answers := make([][]head, len(batch))
	for _, h := range rows {
		s.leases.hold(h.ID, h.Attempt, asked)
		i := asker[h.AskedID]
		answers[i] = append(answers[i], h)
	}
	return answers, nil
}

// record writes a settlement down. What a gateway said must not be forgotten
// because PostgreSQL is away for a moment, so it insists. The lease may end
// meanwhile: the message is in doubt then, and this still resolves it. It reports
// whether there may be more to send in the chat.
func (s *Service) record(ctx context.Context, st settlement) (more bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
	defer cancel()
	for n := 1; ; n++ {
		done, err := s.settles.Do(ctx, st)
		if err == nil {
			s.afterSettling(ctx, st, done)
			return done.more
		}
		if !db.Away(err) || ctx.Err() != nil {
			s.c.Log.LogAttrs(ctx, slog.LevelError, "message.unrecorded",
				slog.String("message_id", st.head.ID.String()), slog.Int("attempt", int(st.head.Attempt)), slog.Any("error", err))
			return true
		}
		select {
		case <-time.After(min(fault.Backoff(n), 2*time.Second)):
		case <-ctx.Done():
		}
	}
}

func (s *Service) afterSettling(ctx context.Context, st settlement, done settled) {
	if !done.ours {
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "message.outcome_too_late",
			slog.String("message_id", st.head.ID.String()), slog.Int("attempt", int(st.head.Attempt)))
	}
	if done.early {
		if _, err := db.FoldEarly(ctx, s.c.Pool, time.Time{}, 100); err != nil { // the relay folds it otherwise
			s.c.Log.LogAttrs(ctx, slog.LevelWarn, "evidence.unfolded", slog.Any("error", err))
		}
	}
}

// settleBatch records what everyone who waits has to record, and then looks, with
// one query for all, which of their chats go on: most do not, and need no claim.
func (s *Service) settleBatch(ctx context.Context, batch []settlement) ([]settled, error) {
	var p db.SettleAttemptsParams
	for _, st := range batch {
		status, refund := int32(st.answer.HTTPStatus), int32(0)
		if st.unsent {
			status = -1
		}
		if st.refund {
			refund = 1
		}
		p.Ids = append(p.Ids, st.head.ID)
		p.Attempts = append(p.Attempts, st.head.Attempt)
		p.Statuses = append(p.Statuses, string(st.status))
		p.GatewayMessageIds = append(p.GatewayMessageIds, st.answer.MessageID)
		p.Refunds = append(p.Refunds, refund)
		p.Waits = append(p.Waits, st.wait.Milliseconds())
		p.Outcomes = append(p.Outcomes, st.answer.Outcome.String())
		p.Codes = append(p.Codes, st.answer.Code)
		p.Reasons = append(p.Reasons, st.answer.Reason)
		p.HttpStatuses = append(p.HttpStatuses, status)
		p.StartedAts = append(p.StartedAts, st.started)
		p.Durations = append(p.Durations, int32(st.took.Milliseconds()))
	}
	rows, err := db.New(s.c.Pool).SettleAttempts(ctx, p)
	if len(batch) == 1 && db.Violates(err, "messages_gateway_message_key") {
		return s.settleOverEcho(ctx, batch[0], p)
	}
	if err != nil {
		return nil, fmt.Errorf("settle attempts: %w", err)
	}
	answers := settledOf(batch, rows)
	s.lookOn(ctx, rows, answers)
	return answers, nil
}

// lookOn finds out in which chats of settled messages there is more. When it
// fails, there may be in each.
func (s *Service) lookOn(ctx context.Context, rows []db.SettleAttemptsRow, answers []settled) {
	chats := make([]int64, len(rows))
	for i, r := range rows {
		chats[i] = r.ChatID
	}
	open, err := db.New(s.c.Pool).OpenLanes(ctx, chats)
	if err != nil {
		return
	}
	for i, a := range answers {
		answers[i].more = !a.ours || slices.Contains(open, a.chat)
	}
}

func settledOf(batch []settlement, rows []db.SettleAttemptsRow) []settled {
	told := make(map[uuid.UUID]db.SettleAttemptsRow, len(rows))
	for _, r := range rows {
		told[r.ID] = r
	}
	answers := make([]settled, len(batch))
	for i, st := range batch {
		r, ours := told[st.head.ID]
		answers[i] = settled{ours: ours, chat: r.ChatID, early: r.HasEarly, more: true} // until somebody looked
	}
	return answers
}

// settleOverEcho settles a message whose gateway id another row has already:
// one that was made when the gateway reported the message before it answered.
// Should that row not be such an echo, the gateway gave one id to two messages,
// and ours does without.
func (s *Service) settleOverEcho(ctx context.Context, st settlement, p db.SettleAttemptsParams) (out []settled, err error) {
	err = db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		n, err := q.DropEcho(ctx, db.DropEchoParams{
			InstanceID: st.head.InstanceID, GatewayMessageID: st.answer.MessageID, ID: st.head.ID,
		})
		if err != nil {
			return err
		}
		if n == 0 {
			p.GatewayMessageIds = []string{""}
			p.Reasons = []string{"The gateway gave this message the id of another one."}
		}
		rows, err := q.SettleAttempts(ctx, p)
		out = settledOf([]settlement{st}, rows)
		return err
	})
	if err != nil {
		return nil, errors.Join(errors.New("settle over echo"), err)
	}
	return out, nil
}
