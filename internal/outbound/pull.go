package outbound

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
)

const (
	// ahead is how much sooner than its slot a message may be claimed: then many
	// slots need few claims. A message waits for its slot in hand.
	ahead    = 250 * time.Millisecond
	pullMost = 100 // claimed in one go
	// longestNap is how long a puller waits for the next slot; a later one is the
	// relay's to notice.
	longestNap = 10 * time.Second
	// pullPatience is how long the relay leaves an instance to a puller that does
	// not come back: it was killed, then.
	pullPatience = 3 * time.Second
	// probeHold is how long one message alone tries a gateway that was away,
	// unless its outcome comes sooner. One that hangs, or whose worker was killed,
	// must not hold up all the others.
	probeHold = 2 * time.Second
	askEach   = time.Second
)

// Pull has this process look after what waits of an instance: messages behind a
// limit, which may have changed, or more of them than another process may have in
// hand. It returns at once, and may be called from anywhere.
func (s *Service) Pull(ctx context.Context, instance string) {
	l := s.line(instance)
	s.pull(ctx, l)
	offer(l.opened)
}

func (s *Service) pull(ctx context.Context, l *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	offer(l.came)
	if l.pulling || s.stopping() {
		return
	}
	l.pulling = true
	ctx = context.WithoutCancel(ctx)
	s.work.Go(func() { s.pullAll(ctx, l) })
}

// pullAll claims what waits of an instance, in slots if it is paced, until
// nothing is due or the next slot is far.
func (s *Service) pullAll(ctx context.Context, l *line) {
	for {
		take(l.came)
		room := l.room(pullMost, s.c.Stopping)
		if room == 0 {
			s.leavePull(ctx, l)
			return
		}
		got, err := s.claimNext(ctx, l, room)
		l.leave(room - len(got.heads))
		if err != nil {
			s.c.Log.LogAttrs(ctx, slog.LevelWarn, "instance.unpulled", slog.String("instance", l.instance), slog.Any("error", err))
		}
		for i, h := range got.heads {
			s.work.Go(func() { s.lane(ctx, l, h, got.slots[i], nil) })
		}
		if len(got.heads) == room && !l.isPaced() {
			s.askForHelp(ctx, l) // there is more than this process may have in hand
		}
		if !got.next.IsZero() && time.Until(got.next) <= longestNap {
			if !s.nap(l, got) {
				s.leavePull(ctx, l)
				return
			}
			continue
		}
		if !l.goOn(err == nil) { // after an error the relay has somebody look again
			return
		}
	}
}

// goOn reports whether the puller should look again, because it may and something
// came since it did. If not, it is the puller no longer.
func (l *line) goOn(may bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pulling = may && take(l.came)
	return l.pulling
}

// askForHelp asks the other workers to pull too, unless they were asked just now.
// Nothing depends on it: it only goes faster, and on when this process is killed.
func (s *Service) askForHelp(ctx context.Context, l *line) {
	l.mu.Lock()
	soon := time.Since(l.asked) < askEach
	if !soon {
		l.asked = time.Now()
	}
	l.mu.Unlock()
	if !soon {
		_ = db.New(s.c.Pool).AskToPull(ctx, l.instance)
	}
}

// nap waits for the next slot, or for what may come before it. It returns false
// when the service stops.
func (s *Service) nap(l *line, got share) bool {
	var came chan struct{}
	if got.open {
		came = l.came
	}
	timer := time.NewTimer(time.Until(got.next) - ahead/5) // a claim takes some milliseconds
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-came:
	case <-l.opened:
	case <-s.c.Stopping:
		return false
	}
	return true
}

// leavePull leaves what waits to other workers, because this one stops.
func (s *Service) leavePull(ctx context.Context, l *line) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	q := db.New(s.c.Pool)
	if q.LeavePull(ctx, l.instance) == nil {
		_ = q.WakeRelay(ctx) // a second later it would look anyway
	}
}

// share is what a puller got of an instance.
type share struct {
	heads []head
	slots []time.Time // when each may go, on this process's clock; zero: at once
	next  time.Time   // when there may be more; zero: nothing else is due
	open  bool        // what comes may go before next: only some chats must wait
}

// slot is a time at which a message may go, and where the limits stand then.
type slot struct {
	at    time.Time
	after standing
}

// slotsOf returns the slots from now until a time, at most n.
func slotsOf(l limits, st standing, now, until time.Time, n int) []slot {
	var out []slot
	for len(out) < n {
		at := l.next(st, now)
		if at.After(until) {
			break
		}
		st = l.take(st, at, rand.Float64())
		out = append(out, slot{at, st})
	}
	return out
}

// claimNext leases what is due of an instance, at most n messages, each with its
// slot.
func (s *Service) claimNext(ctx context.Context, l *line, n int) (share, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	var got share
	asked := time.Now()
	err := db.InTx(ctx, s.c.Pool, func(q *db.Queries) error {
		p, err := q.LockPace(ctx, l.instance)
		if err != nil {
			return err
		}
		w := window{LockPaceRow: p, read: time.Now(), limits: limitsOf(p), standing: standingOf(p), max: n}
		l.setPaced(p.Paced)
		if err := w.claim(ctx, q); err != nil {
			return err
		}
		got = w.share()
		return w.save(ctx, q)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return share{}, nil // the instance is gone
	}
	if err != nil {
		return share{}, err
	}
	for _, h := range got.heads {
		s.leases.hold(h.ID, h.Attempt, asked)
	}
	return got, nil
}

// window is one look at what an instance may send now. Its times are those of
// PostgreSQL, so that all workers go by one clock.
type window struct {
	db.LockPaceRow
	read     time.Time // when Now was read, on our clock
	limits   limits
	standing standing
	max      int

	heads []head
	slots []time.Time
	hold  time.Time // nothing before, whatever the limits say
	next  time.Time // zero: nothing else is due
	open  bool      // next is when a chat may go on; others may before
}

// claim takes heads for the slots there are.
func (w *window) claim(ctx context.Context, q *db.Queries) error {
	switch blocked := instant(w.BlockedUntil); {
	case w.PausedAt != nil:
		return nil
	case blocked.After(w.Now):
		w.hold, w.next = blocked, blocked
		return nil
	case w.Failures > 0 && instant(w.SlotAt).After(w.Now): // somebody tries the gateway
		w.hold, w.next = *w.SlotAt, *w.SlotAt
		return nil
	case w.Failures > 0:
		w.max = 1
	}
	slots := slotsOf(w.limits, w.standing, w.Now, w.Now.Add(ahead), w.max)
	if len(slots) == 0 {
		w.next = w.limits.next(w.standing, w.Now)
		return nil
	}
	rows, err := q.ClaimNext(ctx, db.ClaimNextParams{InstanceID: w.ID, Lease: LeaseTime, Ahead: ahead, MaxRows: int32(len(slots))})
	if err != nil {
		return err
	}
	for i, r := range rows {
		w.heads = append(w.heads, head(r))
		w.slots = append(w.slots, slots[i].at)
		w.standing = slots[i].after
	}
	if len(rows) > 0 && w.Failures > 0 {
		w.hold = w.Now.Add(probeHold)
	}
	if err := w.claimChatSlots(ctx, q); err != nil {
		return err
	}
	if len(rows) > 0 { // fewer than slots may mean no more than that somebody else had one of them in hand
		w.next = latest(w.hold, w.limits.next(w.standing, w.Now))
		return nil
	}
	return w.awaitChat(ctx, q)
}

// claimChatSlots uses up the slots of the claimed messages' chats.
func (w *window) claimChatSlots(ctx context.Context, q *db.Queries) error {
	if w.ChatRatePerMinute == nil || len(w.heads) == 0 {
		return nil
	}
	p := db.TakeChatSlotsParams{PerMessage: time.Minute / time.Duration(*w.ChatRatePerMinute), Burst: int32(max(1, number(w.ChatBurst)))}
	at := map[int64]int{}
	for i, h := range w.heads {
		p.Ids, p.Ats = append(p.Ids, h.ChatID), append(p.Ats, w.slots[i])
		at[h.ChatID] = i
	}
	rows, err := q.TakeChatSlots(ctx, p)
	for _, r := range rows {
		w.slots[at[r.ID]] = r.At
	}
	return err
}

// awaitChat finds out when the first chat that must pause may go on.
func (w *window) awaitChat(ctx context.Context, q *db.Queries) error {
	if w.ChatRatePerMinute == nil {
		return nil
	}
	at, err := q.NextChatSlot(ctx, w.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	w.next, w.open = latest(at, w.limits.next(w.standing, w.Now)), true
	return err
}

// share translates the window to our own clock. A slot is never early by that:
// time went on while the answer travelled.
func (w *window) share() share {
	ours := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return w.read.Add(t.Sub(w.Now))
	}
	out := share{heads: w.heads, slots: w.slots, next: ours(w.next), open: w.open}
	for i, at := range out.slots {
		out.slots[i] = ours(at)
	}
	return out
}

func (w *window) save(ctx context.Context, q *db.Queries) error {
	p := db.SavePaceParams{
		ID: w.ID, Tat: column(w.standing.tat), GapUntil: column(w.standing.gapUntil),
		SentOn: column(w.standing.day), SentCount: int32(w.standing.sent),
	}
	if at := latest(w.hold, w.limits.next(w.standing, w.Now)); at.After(w.Now) {
		p.SlotAt = &at
	}
	if !w.next.IsZero() && w.next.Sub(w.Now) <= longestNap {
		p.PulledUntil = new(latest(w.next, w.Now).Add(pullPatience))
	}
	return q.SavePace(ctx, p)
}

// column is null for the zero time.
func column(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
