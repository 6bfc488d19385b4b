package outbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// When the gateway of an instance that a refusal paused is asked whether that
// has ended.
const (
	FirstProbe = 10 * time.Second // after the pause
	ProbeEvery = 30 * time.Second // after that
)

// Probe handles the task that asks the gateway of a paused instance. It resumes
// the instance if the gateway would take its messages now.
func (s *Service) Probe(ctx context.Context, t tasks.ProbeInstance) error {
	q := db.New(s.c.Pool)
	i, err := q.InstanceByName(ctx, t.Instance)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && i.PausedAt == nil {
		return nil
	}
	if err != nil {
		return unavailable("find instance", err)
	}
	if err := s.probe(ctx, i); err != nil {
		s.c.Log.LogAttrs(ctx, slog.LevelDebug, "instance.probed", slog.String("instance", i.Name), slog.Any("error", err))
		return nil
	}
	n, err := q.EndPause(ctx, i.ID)
	if err != nil {
		return unavailable("end pause", err)
	}
	if n > 0 {
		s.c.Log.LogAttrs(ctx, slog.LevelInfo, "instance.resumed", slog.String("instance", i.Name))
		_ = q.LookAfter(ctx, i.Name) // the relay would find it, a little later
	}
	return nil
}

func (s *Service) probe(ctx context.Context, i db.Instance) error {
	g, account, refusal := s.account(headOf(i))
	if refusal != nil {
		return errors.New(refusal.Code)
	}
	if g.Prober == nil {
		return fmt.Errorf("a gateway of the kind %s cannot be probed", i.Gateway)
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	return g.Prober.Probe(ctx, account)
}

// Account returns how to reach an instance's gateway. It fails with
// fault.Unavailable while the instance lacks something, such as a base URL.
func (s *Service) Account(i db.Instance) (gateway.Account, error) {
	_, account, refusal := s.account(headOf(i))
	if refusal != nil {
		return account, fault.New(fault.Unavailable, refusal.Code, refusal.Reason)
	}
	return account, nil
}

// headOf is what of a message is its instance's.
func headOf(i db.Instance) head {
	return head{Instance: i.Name, Gateway: i.Gateway, BaseUrl: i.BaseUrl, Credential: i.Credential, PhoneNumberID: i.PhoneNumberID}
}
