package outbound

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// lane sends h and then what follows it in its chat. Of the message solo, which
// has a task of its own, it returns what that task must know.
func (s *Service) lane(ctx context.Context, h head, solo uuid.UUID) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.leases.drop(h.ID) // the lease ends by itself, and the message is in doubt
			s.c.Log.LogAttrs(ctx, slog.LevelError, "lane.panicked", slog.String("message_id", h.ID.String()), slog.Any("error", p))
			err = fault.New(fault.Internal, "lane_panicked", "Sending panicked.")
		}
	}()
	end := time.Now().Add(laneTime)
	for {
		verdict, goesOn := s.serve(ctx, h, h.ID == solo)
		s.leases.drop(h.ID)
		if h.ID == solo {
			err = verdict
		}
		if !goesOn {
			return err
		}
		if time.Now().After(end) || s.stopping() || ctx.Err() != nil {
			s.handOver(context.WithoutCancel(ctx), h.ID)
			return err
		}
		heads, claimErr := s.claim(ctx, []uuid.UUID{h.ID})
		if claimErr != nil || len(heads) == 0 {
			return err // when PostgreSQL is away, the relay finds the rest
		}
		h = heads[0]
	}
}

// serve does what a claimed message needs: it is sent, or, when it is in doubt,
// its gateway is asked about it.
func (s *Service) serve(ctx context.Context, h head, hasTask bool) (verdict error, goesOn bool) {
	if h.Status == db.MessageStatusUnknown {
		return nil, s.resolve(ctx, h)
	}
	return s.attempt(ctx, h, hasTask)
}

// attempt sends one claimed message and records what came of it. goesOn is
// false when the chat must wait: for a retry, or for its instance.
func (s *Service) attempt(ctx context.Context, h head, hasTask bool) (verdict error, goesOn bool) {
	if h.ExpiresAt != nil && h.ExpiresAt.Before(time.Now()) {
		s.record(ctx, settlement{
			head: h, status: db.MessageStatusExpired, unsent: true,
			answer: gateway.Answer{Code: "expired", Reason: "It was not sent before it expired."},
		})
		return nil, true
	}
	release, ok := s.acquire(ctx, h.InstanceID)
	if !ok {
		s.record(ctx, settlement{head: h, status: db.MessageStatusQueued, refund: true, unsent: true})
		return nil, false
	}
	if !s.leases.valid(h.ID) {
		// This process stood still for longer than its lease: somebody else may
		// be about to decide on this message. It surely was not sent.
		release()
		s.record(ctx, settlement{head: h, status: db.MessageStatusQueued, refund: true, unsent: true})
		return nil, true
	}
	started := time.Now()
	answer := s.send(ctx, h)
	release()
	st := settle(h, answer)
	st.started, st.took = started, time.Since(started)
	switch { // before the outcome is recorded, so that nobody claims the message again at once
	case answer.Outcome == gateway.Pause:
		s.pause(ctx, h, answer)
	case answer.Instance:
		st.wait = s.block(ctx, h, answer)
	case answer.Outcome == gateway.Accepted && h.Failures > 0:
		s.unblock(ctx, h)
	}
	s.record(ctx, st)
	s.logAttempt(ctx, st)
	if s.c.Attempted != nil {
		s.c.Attempted(answer.Outcome.String())
	}

	switch {
	case answer.Outcome == gateway.Pause:
		return nil, false
	case st.status == db.MessageStatusQueued:
		if hasTask && answer.Instance {
			return fault.New(fault.Throttled, answer.Code, answer.Reason).RetryAfter(st.wait), false
		}
		if hasTask {
			return fault.New(fault.Unavailable, answer.Code, answer.Reason).RetryAfter(st.wait), false
		}
		s.requeue(context.WithoutCancel(ctx), payload(h), h.Attempt, st.wait)
		return nil, false
	case st.status == db.MessageStatusUnknown:
		return nil, false // the lane waits until somebody knows
	case st.status == db.MessageStatusFailed:
		return fault.New(fault.Invalid, answer.Code, answer.Reason), true
	}
	return nil, true
}

// send hands the message to its gateway.
func (s *Service) send(ctx context.Context, h head) gateway.Answer {
	g, account, refusal := s.account(h)
	if refusal != nil {
		return *refusal
	}
	m := gateway.Outgoing{To: h.Chat, Type: h.Type}
	if h.Text != nil {
		m.Text = *h.Text
	}
	if h.QuotedID != nil {
		m.QuotedID = *h.QuotedID
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	return g.Sender.Send(ctx, account, m)
}

// account returns how to reach a message's instance, or the answer that a
// gateway would give which cannot be reached at all.
func (s *Service) account(h head) (Gateway, gateway.Account, *gateway.Answer) {
	refuse := func(code, reason string) (Gateway, gateway.Account, *gateway.Answer) {
		return Gateway{}, gateway.Account{}, &gateway.Answer{Outcome: gateway.Pause, Code: code, Reason: reason}
	}
	g, ok := s.c.Gateways[h.Gateway]
	if !ok {
		return refuse("gateway_unsupported", "This version cannot send through the gateway "+h.Gateway+".")
	}
	account := gateway.Account{Instance: h.Instance, BaseURL: g.BaseURL, Credential: g.Credential}
	if h.BaseUrl != "" {
		account.BaseURL = h.BaseUrl
	}
	if account.BaseURL == "" {
		return refuse("no_base_url", "The instance has no base_url, and there is no default one (EVOLUTION_BASE_URL).")
	}
	if len(h.Credential) > 0 {
		credential, err := s.c.Box.Open(CredentialContext(h.Instance), h.Credential)
		if err != nil {
			return refuse("credential_unreadable", "The stored credential cannot be opened: "+err.Error())
		}
		account.Credential = credential
	}
	return g, account, nil
}

// CredentialContext is what an instance's sealed credential is bound to.
func CredentialContext(instance string) string { return "instance:" + instance + ":credential" }

// settle decides what an answer means for its message.
func settle(h head, a gateway.Answer) settlement {
	st := settlement{head: h, answer: a}
	switch a.Outcome {
	case gateway.Accepted:
		st.status = db.MessageStatusAccepted
	case gateway.Permanent:
		st.status = db.MessageStatusFailed
	case gateway.Pause:
		st.status, st.refund = db.MessageStatusQueued, true // it waits for the instance, which is nobody's failed attempt
	case gateway.InDoubt:
		st.status, st.wait = db.MessageStatusUnknown, firstAsk
	case gateway.Retry:
		st.status = db.MessageStatusQueued
		if st.refund = a.Instance; st.refund {
			return st // nor is this; how long it waits is the instance's matter
		}
		st.wait = max(fault.Backoff(int(h.Attempt)), a.RetryAfter)
		if h.Attempt >= h.MaxAttempts {
			st.status = db.MessageStatusFailed
		}
	}
	return st
}

// pause stops an instance whose gateway refuses everything.
func (s *Service) pause(ctx context.Context, h head, a gateway.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	n, err := db.New(s.c.Pool).PauseInstance(ctx, db.PauseInstanceParams{ID: h.InstanceID, Reason: a.Code + ": " + a.Reason})
	switch {
	case err != nil:
		s.c.Log.LogAttrs(ctx, slog.LevelError, "instance.pause_failed", slog.String("instance", h.Instance), slog.Any("error", err))
	case n > 0:
		s.c.Log.LogAttrs(ctx, slog.LevelError, "instance.paused",
			slog.String("instance", h.Instance), slog.String("code", a.Code), slog.Int("status", a.HTTPStatus))
	}
}

// handOver leaves the rest of a lane to another task.
func (s *Service) handOver(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	next, err := db.New(s.c.Pool).NextInLanes(ctx, []uuid.UUID{id})
	if err != nil {
		return // the relay finds it
	}
	for _, n := range next {
		s.requeue(ctx, Payload(n.ID, n.Instance, n.Chat, n.Text, n.Priority), n.Attempt, time.Until(n.NextAttemptAt))
	}
}

func payload(h head) tasks.SendMessage {
	return Payload(h.ID, h.Instance, h.Chat, h.Text, h.Priority)
}

// Payload is the task of a message that has a row.
func Payload(id uuid.UUID, instance, chat string, text *string, priority db.MessagePriority) tasks.SendMessage {
	m := tasks.SendMessage{ID: id.String(), Instance: instance, To: chat, Priority: string(priority)}
	if text != nil {
		m.Text = *text
	}
	return m
}

func (s *Service) stopping() bool {
	select {
	case <-s.c.Stopping:
		return true
	default:
		return false
	}
}

// acquire takes one of the instance's places on the way to its gateway.
func (s *Service) acquire(ctx context.Context, instance int64) (release func(), ok bool) {
	s.mu.Lock()
	slots := s.slots[instance]
	if slots == nil {
		slots = make(chan struct{}, s.c.PerInstance)
		s.slots[instance] = slots
	}
	s.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	case <-ctx.Done():
		return nil, false
	}
}

func (s *Service) logAttempt(ctx context.Context, st settlement) {
	level, outcome := slog.LevelDebug, st.answer.Outcome.String()
	switch st.status {
	case db.MessageStatusQueued, db.MessageStatusUnknown:
		level = slog.LevelWarn
	case db.MessageStatusFailed:
		level, outcome = slog.LevelWarn, "failed"
	default:
	}
	s.c.Log.LogAttrs(ctx, level, "message.attempted",
		slog.String("message_id", st.head.ID.String()),
		slog.String("instance", st.head.Instance),
		slog.Int("attempt", int(st.head.Attempt)),
		slog.String("outcome", outcome),
		slog.String("code", st.answer.Code),
		slog.Int("status", st.answer.HTTPStatus),
		slog.Duration("took", st.took),
	)
}
