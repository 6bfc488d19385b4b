package outbound

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

const (
	readLease    = gatewayTimeout + 2*recordTimeout
	readAttempts = 12
)

// Read handles the task that tells the writer of a message that it was read. It
// needs no slot, and waits for no message. An error means that the task must come
// back, or, when it is final, that the receipt was given up.
func (s *Service) Read(ctx context.Context, t tasks.ReadMessage) error {
	id, err := uuid.Parse(t.ID)
	if err != nil {
		return fault.New(fault.Invalid, "invalid_id", "The message's id is no UUID.")
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		return nil // slow gateways hold no more places than that; the relay brings it back
	}
	r, err := db.New(s.c.Pool).ClaimRead(ctx, db.ClaimReadParams{MessageID: id, Lease: readLease})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return unavailable("claim receipt", err)
	}
	started := time.Now()
	failed := fault.Of(s.markRead(ctx, r))
	s.c.Log.LogAttrs(ctx, slog.LevelDebug, "message.read_told", slog.String("message_id", t.ID), slog.String("instance", r.Instance),
		slog.Int("attempt", int(r.Attempt)), slog.Bool("done", failed == nil), slog.Duration("took", time.Since(started)))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if failed != nil {
		return s.putOffRead(ctx, r, failed)
	}
	err = db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		if err := noteRead(ctx, q, r.InstanceID, *r.GatewayMessageID); err != nil {
			return err
		}
		return q.FinishRead(ctx, id)
	})
	if err != nil { // it is told again, which is harmless
		return unavailable("finish receipt", err)
	}
	return nil
}

// markRead asks the gateway to tell the writer.
func (s *Service) markRead(ctx context.Context, r db.ClaimReadRow) error {
	if r.Deleted {
		return fault.New(fault.Invalid, "instance_deleted", "The instance was deleted.")
	}
	a, account, err := s.attendant(head{Instance: r.Instance, Gateway: r.Gateway, BaseUrl: r.BaseUrl, Credential: r.Credential, PhoneNumberID: r.PhoneNumberID})
	if err != nil {
		return err
	}
	if r.GatewayMessageID == nil {
		return fault.New(fault.Invalid, "unknown_message", "The gateway does not know the message.")
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	// WhatsApp looks for the message under the number as it spells it itself.
	return a.MarkRead(ctx, account, address.Of(r.Chat), *r.GatewayMessageID)
}

// attendant is account for what is no message.
func (s *Service) attendant(h head) (gateway.Attendant, gateway.Account, error) {
	g, account, refusal := s.account(h)
	if refusal != nil {
		return nil, account, fault.New(fault.Unavailable, refusal.Code, refusal.Reason)
	}
	if g.Attendant == nil {
		return nil, account, fault.New(fault.Invalid, "gateway_unsupported", "The gateway "+h.Gateway+" cannot do that.")
	}
	return g.Attendant, account, nil
}

// noteRead records that a message to us was read, as if another device had told.
func noteRead(ctx context.Context, q *db.Queries, instanceID int64, gatewayMessageID string) error {
	_, err := q.ApplyEvidence(ctx, db.ApplyEvidenceParams{
		InstanceIds: []int64{instanceID}, GatewayMessageIds: []string{gatewayMessageID},
		Statuses: []string{string(gateway.StatusRead)}, Ats: []time.Time{time.Now()}, Reasons: []string{""},
	})
	return err
}

// putOffRead records why an attempt failed, and when the next one is, if there is
// one.
func (s *Service) putOffRead(ctx context.Context, r db.ClaimReadRow, failed *fault.Error) error {
	givesUp := failed.Kind.Final() || r.Attempt >= readAttempts
	wait := max(fault.Backoff(int(r.Attempt)), failed.After)
	err := db.New(s.c.Pool).PutOffRead(ctx, db.PutOffReadParams{
		MessageID: r.MessageID, Attempt: r.Attempt, Code: failed.Code, Reason: failed.Detail, GivesUp: givesUp, Wait: wait,
	})
	switch {
	case err != nil: // the lease ends by itself
		return unavailable("put off receipt", err)
	case givesUp:
		return fault.New(fault.Invalid, failed.Code, failed.Detail)
	}
	return fault.New(fault.Unavailable, failed.Code, failed.Detail).RetryAfter(wait)
}
