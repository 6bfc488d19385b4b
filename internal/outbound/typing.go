package outbound

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// signsMost is how many signs a process shows at a time. A gateway may hold each
// open for as long as it is seen.
const signsMost = 256

// signs are what people see of us just now through this process.
type signs struct {
	mu    sync.Mutex
	shown map[string]*sign // by instance and chat
}

type sign struct {
	state string
	end   context.CancelFunc
}

// begin takes the place of a chat's sign, ending another one. It returns nil when
// the same is shown already, or when there is no room.
func (g *signs) begin(key, state string, end context.CancelFunc) *sign {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.shown[key]
	switch {
	case old != nil && old.state == state:
		return nil
	case old != nil:
		old.end()
	case len(g.shown) >= signsMost:
		return nil
	}
	x := &sign{state, end}
	if g.shown == nil {
		g.shown = map[string]*sign{}
	}
	g.shown[key] = x
	return x
}

// over frees the place of x, unless another has taken it.
func (g *signs) over(key string, x *sign) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shown[key] == x {
		delete(g.shown, key)
	}
}

// ShowTyping handles the task that shows somebody that an answer is being written.
// It hands the sign over and ends: a worker's places are for messages. Whatever goes
// wrong, nobody is told but the log.
func (s *Service) ShowTyping(ctx context.Context, t tasks.ShowTyping) error {
	if t.Late(time.Now()) {
		return nil
	}
	r, err := db.New(s.c.Pool).TypingTarget(ctx, db.TypingTargetParams{Instance: t.Instance, Address: address.Of(t.Chat)})
	if err != nil {
		if !errors.Is(err, pgx.ErrNoRows) {
			s.logSign(ctx, t, err)
		}
		return nil
	}
	shown := time.Duration(t.ForMS) * time.Millisecond
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), shown+gatewayTimeout)
	key := t.Instance + " " + t.Chat
	x := s.signs.begin(key, t.State, end)
	if x == nil {
		end()
		return nil
	}
	s.work.Go(func() {
		select {
		case <-s.c.Stopping:
			end()
		case <-ctx.Done():
		}
	})
	s.work.Go(func() {
		defer end()
		defer s.signs.over(key, x)
		s.logSign(ctx, t, s.show(ctx, t, r, shown))
	})
	return nil
}

// show asks the gateway, and records what it told of us beside.
func (s *Service) show(ctx context.Context, t tasks.ShowTyping, r db.TypingTargetRow, shown time.Duration) error {
	a, account, err := s.attendant(head{Instance: r.Instance, Gateway: r.Gateway, BaseUrl: r.BaseUrl, Credential: r.Credential, PhoneNumberID: r.PhoneNumberID})
	if err != nil {
		return err
	}
	chat := r.Chat
	if chat == "" {
		chat = t.Chat
	}
	read, err := a.ShowTyping(ctx, account, gateway.Typing{Chat: chat, State: t.State, For: shown, LastHeard: r.LastHeard})
	if err != nil || !read {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return noteRead(ctx, db.New(s.c.Pool), r.InstanceID, r.LastHeard)
}

func (s *Service) logSign(ctx context.Context, t tasks.ShowTyping, err error) {
	s.c.Log.LogAttrs(ctx, slog.LevelDebug, "chat.typing_shown", slog.String("instance", t.Instance),
		slog.String("state", t.State), slog.Any("error", err))
}
