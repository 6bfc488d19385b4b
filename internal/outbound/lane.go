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

// lane sends h, at its slot, and then what follows it in its chat. Who watches
// hears of its message, or of the lane's end.
func (s *Service) lane(ctx context.Context, l *line, h head, slot time.Time, w *watch) {
	deepen(0)
	defer l.leave(1)
	left, err := s.run(ctx, l, h, slot, w)
	if w != nil {
		offerVerdict(w, err)
	}
	if left {
		s.pull(ctx, l)
	}
}

// deepen gives a lane's goroutine the stack that sending takes while there is
// nothing on it yet: it would be doubled three times on the way, and each time
// all of it copied, which was a twelfth of a worker's work.
//
//go:noinline
func deepen(at int) byte {
	var room [12 << 10]byte
	return room[at]
}

// run is lane. It reports whether it left what follows to the puller, because
// that waits for a slot of its own. The error is a panic's.
func (s *Service) run(ctx context.Context, l *line, h head, slot time.Time, w *watch) (left bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.leases.drop(h.ID) // the lease ends by itself, and the message is in doubt
			s.c.Log.LogAttrs(ctx, slog.LevelError, "lane.panicked", slog.String("message_id", h.ID.String()), slog.Any("error", p))
			err = fault.New(fault.Internal, "lane_panicked", "Sending panicked.")
		}
	}()
	end := time.Now().Add(laneTime)
	for {
		watched := w != nil && w.id == h.ID
		verdict, goesOn := s.serve(ctx, l, h, slot, watched)
		s.leases.drop(h.ID)
		if watched {
			offerVerdict(w, verdict)
		}
		paced := l.isPaced()
		if !goesOn || paced {
			return paced, nil
		}
		if time.Now().After(end) || s.stopping() {
			s.handOver(ctx, h.ID)
			return false, nil
		}
		heads, claimErr := s.claim(ctx, []uuid.UUID{h.ID})
		if claimErr != nil || len(heads) == 0 {
			return l.isPaced(), nil // when PostgreSQL is away, the relay finds the rest
		}
		h, slot = heads[0], time.Time{}
	}
}

// offerVerdict tells a watching task, unless it was told already.
func offerVerdict(w *watch, verdict error) {
	select {
	case w.verdict <- verdict:
	default:
	}
}

// serve does what a claimed message needs: it is sent, or, when it is in doubt,
// its gateway is asked about it.
func (s *Service) serve(ctx context.Context, l *line, h head, slot time.Time, watched bool) (verdict error, goesOn bool) {
	if h.Status == db.MessageStatusUnknown {
		return nil, s.resolve(ctx, h)
	}
	return s.attempt(ctx, l, h, slot, watched)
}

// attempt sends one claimed message and records what came of it. goesOn is
// false when the chat must wait, for a retry or for its instance, or has no more.
func (s *Service) attempt(ctx context.Context, l *line, h head, slot time.Time, watched bool) (verdict error, goesOn bool) {
	if h.ExpiresAt != nil && h.ExpiresAt.Before(time.Now()) {
		more := s.record(ctx, settlement{
			head: h, status: db.MessageStatusExpired, unsent: true,
			answer: gateway.Answer{Code: "expired", Reason: "It was not sent before it expired."},
		})
		s.returnSlot(ctx, h)
		return nil, more
	}
	release, ok := s.await(l, slot)
	if !ok { // the service stops: another worker sends it
		s.giveBack(ctx, h)
		s.handOver(ctx, h.ID)
		return nil, false
	}
	if !s.leases.valid(h.ID) {
		// This process stood still for longer than its lease: somebody else may
		// be about to decide on this message. It surely was not sent.
		release()
		s.giveBack(ctx, h)
		return nil, true
	}
	started := time.Now()
	answer, asked := s.send(ctx, h)
	release()
	st := settle(h, answer)
	st.started, st.took = started, time.Since(started)
	switch { // before the outcome is recorded, so that nobody claims the message again at once
	case answer.Outcome == gateway.Pause:
		s.pause(ctx, h, answer)
	case answer.Scope == gateway.ScopeInstance:
		s.block(ctx, h, answer) // how long it waits is the instance's matter, not the message's
	case h.Failures > 0 && asked && answer.Outcome != gateway.InDoubt: // the gateway is there
		s.unblock(ctx, l, h)
	}
	more := s.record(ctx, st)
	s.logAttempt(ctx, st)
	if answer.Outcome != gateway.Accepted && answer.Outcome != gateway.InDoubt {
		s.returnSlot(ctx, h)
	}
	if s.c.Attempted != nil {
		s.c.Attempted(answer.Outcome.String())
	}
	verdict, goesOn = s.conclude(ctx, l, st, watched)
	return verdict, goesOn && more
}

// conclude decides how a recorded attempt goes on, if there is more.
func (s *Service) conclude(ctx context.Context, l *line, st settlement, watched bool) (verdict error, goesOn bool) {
	h, answer := st.head, st.answer
	switch {
	case answer.Outcome == gateway.Pause:
		return nil, false
	case answer.Scope == gateway.ScopeInstance:
		s.pull(ctx, l) // it looks again when the block ends, and so do the others
		s.askForHelp(ctx, l)
		return nil, false
	case st.status == db.MessageStatusQueued:
		if watched && st.refund {
			return fault.New(fault.Throttled, answer.Code, answer.Reason).RetryAfter(st.wait), false
		}
		if watched {
			return fault.New(fault.Unavailable, answer.Code, answer.Reason).RetryAfter(st.wait), false
		}
		s.requeue(ctx, payload(h), h.Attempt, st.wait)
		return nil, false
	case st.status == db.MessageStatusUnknown:
		return nil, false // the lane waits until somebody knows
	case st.status == db.MessageStatusFailed:
		return fault.New(fault.Invalid, answer.Code, answer.Reason), true
	}
	return nil, true
}

// await waits for the slot, and then for one of the places on the way to the
// gateway.
func (s *Service) await(l *line, slot time.Time) (release func(), ok bool) {
	if wait := time.Until(slot); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.c.Stopping:
			return nil, false
		}
	}
	return l.acquire(s.c.Stopping)
}

// giveBack queues a claimed message again that was not sent.
func (s *Service) giveBack(ctx context.Context, h head) {
	s.record(ctx, settlement{head: h, status: db.MessageStatusQueued, refund: true, unsent: true})
	s.returnSlot(ctx, h)
}

// returnSlot gives back to the day's cap what was not sent.
func (s *Service) returnSlot(ctx context.Context, h head) {
	if h.DailyCap == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := db.New(s.c.Pool).ReturnSlot(ctx, h.InstanceID); err != nil { // one message less today
		s.c.Log.LogAttrs(ctx, slog.LevelWarn, "slot.unreturned", slog.String("instance", h.Instance), slog.Any("error", err))
	}
}

// send hands the message to its gateway. asked is false when it did not come to
// that: then the answer says nothing about the gateway.
func (s *Service) send(ctx context.Context, h head) (answer gateway.Answer, asked bool) {
	g, account, refusal := s.account(h)
	if refusal != nil {
		return *refusal, false
	}
	m, file, refusal := s.compose(ctx, h)
	if refusal != nil {
		return *refusal, false
	}
	defer file.release()
	if !s.leases.valid(h.ID) { // it took so long that somebody else may decide on it
		return gateway.Answer{Outcome: gateway.Retry, Scope: gateway.ScopeChat, Code: "lease_lost", Reason: "The worker stood still before it could be sent."}, false
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout+time.Duration(file.bytes>>20)*uploadPerMiB)
	defer cancel()
	return g.Sender.Send(ctx, account, m), true
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
	if h.PhoneNumberID != nil {
		account.Instance = *h.PhoneNumberID
	}
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
		switch a.Scope { // nor is what concerns more than the message
		case gateway.ScopeInstance:
			st.refund = true // and no wait of its own: the instance's may end sooner
			return st
		case gateway.ScopeChat:
			st.refund, st.wait = true, max(a.RetryAfter, fault.Backoff(1))
			return st
		case gateway.ScopeMessage:
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
	n, err := db.New(s.c.Pool).PauseInstance(ctx, db.PauseInstanceParams{
		ID: h.InstanceID, Reason: a.Code + ": " + a.Reason, ProbeAfter: FirstProbe,
	})
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
