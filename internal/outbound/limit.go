package outbound

import (
	"fmt"
	"math"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
)

// slowStep is for how long a rate is halved once its gateway asked to slow
// down. Asked again meanwhile, it is halved again, at most maxSlow times, and
// each step is taken back after this time.
const (
	slowStep = time.Minute
	maxSlow  = 3
)

// limits say how fast an instance may send. The zero value sets none.
type limits struct {
	perMinute   int           // 0: any rate
	burst       int           // messages that may go at once after a quiet time; at least 1
	gapMin      time.Duration // between two messages: drawn from [gapMin, gapMax]
	gapMax      time.Duration
	dailyCap    int       // messages a day of UTC; 0: any number
	warmUpStart time.Time // midnight of the first day
	warmUpDays  int       // 0: no warm-up
	warmUpFirst int       // cap of the first day; it grows by the same factor each day, to dailyCap
	slowedUntil time.Time // each begun slowStep until then halves the rate
}

// standing is what an instance has used of its limits. The zero value is
// nothing.
type standing struct {
	tat      time.Time // theoretical arrival time: when the rate would be used up evenly
	gapUntil time.Time
	day      time.Time // midnight of the day that sent counts for
	sent     int
}

// next returns when the next message may go: now, or later.
func (l limits) next(s standing, now time.Time) time.Time {
	at := now
	if l.perMinute > 0 {
		at = latest(at, s.tat.Add(-time.Duration(l.burst-1)*l.interval(now)))
	}
	at = latest(at, s.gapUntil)
	if day := dayOf(at); l.dailyCap > 0 && s.day.Equal(day) && s.sent >= l.capOn(day) {
		at = day.AddDate(0, 0, 1)
	}
	return at
}

// take returns where the limits stand after a message that goes at a time. The
// roll, from 0 to 1, chooses the gap after it.
func (l limits) take(s standing, at time.Time, roll float64) standing {
	if l.perMinute > 0 {
		s.tat = latest(s.tat, at).Add(l.interval(at))
	}
	s.gapUntil = time.Time{}
	if l.gapMax > 0 {
		s.gapUntil = at.Add(l.gapMin + time.Duration(roll*float64(l.gapMax-l.gapMin)))
	}
	if day := dayOf(at); !s.day.Equal(day) {
		s.day, s.sent = day, 0
	}
	s.sent++
	return s
}

// interval is the time between two messages at the present rate.
func (l limits) interval(now time.Time) time.Duration {
	each := time.Minute / time.Duration(l.perMinute)
	left := l.slowedUntil.Sub(now)
	if left <= 0 {
		return each
	}
	return each << min((left+slowStep-1)/slowStep, maxSlow)
}

// capOn returns how many messages may go on a day.
func (l limits) capOn(day time.Time) int {
	age := day.Sub(l.warmUpStart).Hours() / 24
	if l.warmUpDays == 0 || age >= float64(l.warmUpDays) {
		return l.dailyCap
	}
	growth := math.Pow(float64(l.dailyCap)/float64(l.warmUpFirst), max(age, 0)/float64(l.warmUpDays))
	return max(1, min(l.dailyCap, int(math.Round(float64(l.warmUpFirst)*growth))))
}

// CapToday returns how many messages an instance may send on the day of now,
// and how many it has; false if there is no daily cap.
func CapToday(i db.Instance, now time.Time) (limit, sent int, ok bool) {
	l := limits{dailyCap: number(i.DailyCap)}
	l.warmUp(i.WarmUpStart, i.WarmUpDays, i.WarmUpFirst)
	if i.SentOn != nil && i.SentOn.Equal(dayOf(now)) {
		sent = int(i.SentCount)
	}
	return l.capOn(dayOf(now)), sent, l.dailyCap > 0
}

// What limits may be set to. 0 takes one away.
const (
	MaxRatePerMinute = 100_000
	MaxBurst         = 10_000
	MaxGap           = time.Hour
	MaxDailyCap      = 10_000_000
	MaxWarmUpDays    = 365
)

// CheckLimits says what is wrong with the limits that p would give an instance,
// which is before as yet. The failure names the field of the public API.
func CheckLimits(p db.PutInstanceParams, before db.Instance) error {
	for _, f := range []struct {
		field string
		value *int32
		most  int
	}{
		{"rate_per_minute", p.RatePerMinute, MaxRatePerMinute},
		{"burst", p.Burst, MaxBurst},
		{"chat_rate_per_minute", p.ChatRatePerMinute, MaxRatePerMinute},
		{"chat_burst", p.ChatBurst, MaxBurst},
		{"gap_ms", p.GapMinMs, int(MaxGap.Milliseconds())},
		{"gap_ms", p.GapMaxMs, int(MaxGap.Milliseconds())},
		{"daily_cap", p.DailyCap, MaxDailyCap},
		{"warm_up.days", p.WarmUpDays, MaxWarmUpDays},
	} {
		if n := number(f.value); n < 0 || n > f.most {
			return wrongLimit(f.field, fmt.Sprintf("must be from 0 (none) to %d", f.most))
		}
	}
	if number(p.GapMinMs) > number(p.GapMaxMs) {
		return wrongLimit("gap_ms", "must be [min, max]")
	}
	limit, days, first := before.DailyCap, before.WarmUpDays, before.WarmUpFirst
	if p.DailyCap != nil {
		limit = p.DailyCap
	}
	if p.WarmUpDays != nil {
		days, first = p.WarmUpDays, p.WarmUpFirst
	}
	switch {
	case number(days) == 0:
	case number(limit) == 0:
		return wrongLimit("warm_up", "needs a daily_cap to grow to; to end it, give days 0")
	case number(first) < 1 || number(first) > number(limit):
		return wrongLimit("warm_up.first_day", "must be from 1 to daily_cap")
	}
	return nil
}

func wrongLimit(field, reason string) error {
	return fault.New(fault.Invalid, "invalid_limit", "The field "+field+" "+reason+".").At(field)
}

// limitsOf reads an instance's limits from its row.
func limitsOf(p db.LockPaceRow) limits {
	l := limits{
		perMinute: number(p.RatePerMinute), burst: max(1, number(p.Burst)),
		gapMin: milliseconds(p.GapMinMs), gapMax: milliseconds(p.GapMaxMs),
		dailyCap: number(p.DailyCap), slowedUntil: instant(p.SlowedUntil),
	}
	l.warmUp(p.WarmUpStart, p.WarmUpDays, p.WarmUpFirst)
	return l
}

func (l *limits) warmUp(start *time.Time, days, first *int32) {
	l.warmUpStart, l.warmUpDays, l.warmUpFirst = instant(start), number(days), number(first)
}

// standingOf reads from an instance's row where its limits stand.
func standingOf(p db.LockPaceRow) standing {
	return standing{tat: instant(p.Tat), gapUntil: instant(p.GapUntil), day: instant(p.SentOn), sent: int(p.SentCount)}
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// number, milliseconds and instant read columns; null is the zero value.
func number(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

func milliseconds(n *int32) time.Duration { return time.Duration(number(n)) * time.Millisecond }

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
