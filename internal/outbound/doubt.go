package outbound

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

// How a doubt is resolved in time, counted from when the outcome was lost. The
// gateway is asked early, because its answer is usually yes. A no counts only
// after a while: a request that arrived has left its trace by then. When nobody
// can tell for doubtPatience, the instance's policy decides.
const (
	firstAsk      = time.Second // a report by webhook may be on its way
	askEvery      = 2 * time.Second
	certainAfter  = 5 * time.Second
	doubtPatience = 2 * time.Minute
	witnessWindow = 10 * time.Minute // how far back a message is looked for that proves the gateway's memory
)

// codeUnstored is a gateway's answer that it sent a message and then failed to
// keep it: asking can find it, and never rule it out.
const codeUnstored = "gateway_store_failed"

// resolve finds out about a message in doubt. goesOn is false while its chat
// must wait.
func (s *Service) resolve(ctx context.Context, h head) (goesOn bool) {
	age := time.Since(h.LostAt)
	id, err := s.find(ctx, h)
	st := settlement{head: h, unsent: true}
	outcome := "found"
	switch {
	case err == nil && id != "":
		st.status, st.answer = db.MessageStatusAccepted, gateway.Answer{Outcome: gateway.Accepted, MessageID: id}
	case err == nil && age >= certainAfter:
		outcome, st = "not_sent", resend(h, "not_sent", "The gateway was asked and had not sent it.")
	case err != nil && age >= doubtPatience && h.InDoubt == "resend":
		outcome, st = "resent", resend(h, "in_doubt_resent", "Nobody could tell whether it was sent; the instance's policy is to send it again.")
	case err != nil && age >= doubtPatience:
		outcome, st.status, st.wait = "held", db.MessageStatusUnknown, -1
		st.answer = gateway.Answer{Code: "in_doubt", Reason: "Nobody can tell whether it was sent; it is held for a person to decide."}
	default:
		st.status, st.wait = db.MessageStatusUnknown, nextAsk(age)
		st.answer = gateway.Answer{Code: "in_doubt", Reason: "Its gateway is being asked whether it was sent."}
		s.record(ctx, st)
		s.c.Log.LogAttrs(ctx, slog.LevelDebug, "message.still_in_doubt",
			slog.String("message_id", h.ID.String()), slog.Duration("took", age), slog.Any("error", err))
		return false
	}
	goesOn = s.record(ctx, st)
	s.c.Log.LogAttrs(ctx, slog.LevelInfo, "message.doubt_resolved",
		slog.String("message_id", h.ID.String()), slog.String("instance", h.Instance),
		slog.Int("attempt", int(h.Attempt)), slog.String("outcome", outcome), slog.Duration("took", age))
	if s.c.Attempted != nil {
		s.c.Attempted("doubt_" + outcome)
	}
	return goesOn
}

// resend queues a message again, or gives it up when it had all its attempts.
func resend(h head, code, reason string) settlement {
	st := settlement{head: h, unsent: true, status: db.MessageStatusQueued, answer: gateway.Answer{Code: code, Reason: reason}}
	if h.Attempt >= h.MaxAttempts {
		st.status = db.MessageStatusFailed
	}
	return st
}

// nextAsk is how long to wait before the gateway is asked again: so that an
// answer comes as soon as it can be certain, and less often after that.
func nextAsk(age time.Duration) time.Duration {
	if age < certainAfter {
		return min(askEvery, certainAfter-age)
	}
	return min(age/2, 20*time.Second)
}

// find asks the gateway for the message. It returns the gateway's id, or
// nothing when the gateway has surely not sent it so far.
func (s *Service) find(ctx context.Context, h head) (string, error) {
	g, account, refusal := s.account(h)
	if refusal != nil {
		return "", errors.New(refusal.Code)
	}
	if g.Finder == nil {
		return "", errors.New("the gateway cannot be asked")
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	q := db.New(s.c.Pool)
	sought := gateway.Sought{To: h.Chat, Type: h.Type, Since: h.StartedAt}
	if h.Text != nil {
		sought.Text = *h.Text
	}
	w, err := q.Witness(ctx, db.WitnessParams{InstanceID: h.InstanceID, AfterAt: h.StartedAt.Add(-witnessWindow), BeforeAt: h.StartedAt})
	switch {
	case err == nil:
		sought.Witness, sought.WitnessAt = w.GatewayMessageID, w.AcceptedAt
	case !errors.Is(err, pgx.ErrNoRows):
		return "", err
	}
	ids, err := g.Finder.Find(ctx, account, sought)
	if err == nil && len(ids) == 0 && h.DoubtCode == codeUnstored {
		err = errors.New("the gateway failed to keep it")
	}
	if err != nil || len(ids) == 0 {
		return "", err
	}
	claimed, err := q.ClaimedGatewayIDs(ctx, db.ClaimedGatewayIDsParams{InstanceID: h.InstanceID, GatewayMessageIds: ids})
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if slices.Contains(claimed, id) {
			continue
		}
		// The gateway may have reported it under another address before.
		_, err := q.DropEcho(ctx, db.DropEchoParams{InstanceID: h.InstanceID, GatewayMessageID: id, ID: h.ID})
		return id, err
	}
	return "", nil
}
