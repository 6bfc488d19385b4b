package outbound

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
)

// midday is some time that is not near midnight.
var midday = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// drawLimits returns any limits, and whether each is set.
func drawLimits(r *rand.Rand) limits {
	l := limits{burst: 1}
	if r.IntN(2) == 0 {
		l.perMinute, l.burst = 1+r.IntN(6000), 1+r.IntN(20)
	}
	if r.IntN(2) == 0 {
		l.gapMin = time.Duration(r.IntN(2000)) * time.Millisecond
		l.gapMax = l.gapMin + time.Duration(1+r.IntN(2000))*time.Millisecond
	}
	if r.IntN(2) == 0 {
		l.dailyCap = 1 + r.IntN(300)
	}
	return l
}

// Whatever the limits are and whenever somebody looks, no window of time holds
// more messages than the rate and one burst, no gap is too short, and no day
// holds more than its cap.
func TestSlotsKeepEveryLimit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		l, st, now := drawLimits(r), standing{}, midday
		var sent []time.Time
		for len(sent) < 200 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(300*time.Millisecond)))
			for _, s := range slotsOf(l, st, now, now.Add(ahead), 1+r.IntN(20)) {
				if s.at.Before(now) || s.at.After(now.Add(ahead)) {
					t.Fatalf("seed %d: a slot at %s, asked for from %s on", seed, s.at, now)
				}
				sent, st = append(sent, s.at), s.after
			}
			if next := l.next(st, now); next.After(now.Add(time.Minute)) {
				now = next // a cap was reached
			}
		}
		days := map[time.Time]int{}
		for i, at := range sent {
			days[dayOf(at)]++
			if i > 0 && at.Sub(sent[i-1]) < l.gapMin {
				t.Fatalf("seed %d: %+v: a gap of %s", seed, l, at.Sub(sent[i-1]))
			}
			for j := i; l.perMinute > 0 && j >= 0; j-- {
				window := at.Sub(sent[j])
				if most := float64(l.burst) + window.Minutes()*float64(l.perMinute); float64(i-j+1) > most+1e-3 { // intervals are whole nanoseconds
					t.Fatalf("seed %d: %+v: %d messages within %s", seed, l, i-j+1, window)
				}
			}
		}
		for day, n := range days {
			if l.dailyCap > 0 && n > l.dailyCap {
				t.Fatalf("seed %d: %d messages on %s, the cap is %d", seed, n, day, l.dailyCap)
			}
		}
	}
}

// A limit must not be slower than it says either.
func TestABacklogGoesAtTheFullRate(t *testing.T) {
	t.Parallel()
	l, st, now := limits{perMinute: 600, burst: 5}, standing{}, midday
	sent := 0
	for now.Before(midday.Add(time.Minute)) {
		for _, s := range slotsOf(l, st, now, now.Add(ahead), 100) {
			st, sent = s.after, sent+1
		}
		now = now.Add(ahead / 2) // somebody looks in time
	}
	if sent < 600 || sent > 608 {
		t.Errorf("%d messages in a minute, want 600, a burst of 5, and those of the next moment", sent)
	}
}

func TestARateIsHalvedForEachTimeItsGatewayComplains(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ left, want time.Duration }{
		{-time.Second, time.Second},
		{0, time.Second},
		{time.Second, 2 * time.Second},
		{slowStep, 2 * time.Second},
		{slowStep + time.Second, 4 * time.Second},
		{3 * slowStep, 8 * time.Second},
		{9 * slowStep, 8 * time.Second},
	} {
		l := limits{perMinute: 60, burst: 1, slowedUntil: midday.Add(tt.left)}
		if got := l.interval(midday); got != tt.want {
			t.Errorf("with %s to go, a message each %s, want %s", tt.left, got, tt.want)
		}
	}
}

func TestANewNumberWarmsUp(t *testing.T) {
	t.Parallel()
	start := dayOf(midday)
	l := limits{dailyCap: 1000, warmUpStart: start, warmUpDays: 14, warmUpFirst: 20}
	before := 0
	for day := range 20 {
		got := l.capOn(start.AddDate(0, 0, day))
		switch {
		case day == 0 && got != 20, day >= 14 && got != 1000, got < before:
			t.Errorf("cap of day %d is %d, after %d", day, got, before)
		case day > 0 && day < 14 && float64(got) > 1.5*float64(before):
			t.Errorf("the cap jumps from %d to %d", before, got)
		}
		before = got
	}
	if got := l.capOn(start.AddDate(0, 0, -3)); got != 20 {
		t.Errorf("before its first day the cap is %d, want 20", got)
	}
}

func TestTheDayOfACapEndsAtMidnight(t *testing.T) {
	t.Parallel()
	l, st := limits{dailyCap: 2}, standing{}
	st = l.take(l.take(st, midday, 0), midday, 0)
	next := l.next(st, midday)
	if want := time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC); !next.Equal(want) {
		t.Fatalf("the third message goes at %s, want %s", next, want)
	}
	if st = l.take(st, next, 0); st.sent != 1 {
		t.Errorf("%d sent on the new day, want 1", st.sent)
	}
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	n := func(n int32) *int32 { return &n }
	for name, tt := range map[string]struct {
		put    db.PutInstanceParams
		before db.Instance
		at     string // the field that is complained about; empty: fine
	}{
		"none":                          {},
		"all":                           {put: db.PutInstanceParams{RatePerMinute: n(60), Burst: n(5), GapMinMs: n(1), GapMaxMs: n(2), DailyCap: n(9), WarmUpDays: n(3), WarmUpFirst: n(2)}},
		"all taken away":                {put: db.PutInstanceParams{RatePerMinute: n(0), Burst: n(0), GapMinMs: n(0), GapMaxMs: n(0), DailyCap: n(0), WarmUpDays: n(0)}},
		"negative":                      {put: db.PutInstanceParams{ChatBurst: n(-1)}, at: "chat_burst"},
		"too much":                      {put: db.PutInstanceParams{RatePerMinute: n(MaxRatePerMinute + 1)}, at: "rate_per_minute"},
		"a gap that ends first":         {put: db.PutInstanceParams{GapMinMs: n(2), GapMaxMs: n(1)}, at: "gap_ms"},
		"warm-up to nowhere":            {put: db.PutInstanceParams{WarmUpDays: n(3), WarmUpFirst: n(2)}, at: "warm_up"},
		"warm-up to the cap it has":     {put: db.PutInstanceParams{WarmUpDays: n(3), WarmUpFirst: n(2)}, before: db.Instance{DailyCap: n(9)}},
		"warm-up from above":            {put: db.PutInstanceParams{WarmUpDays: n(3), WarmUpFirst: n(10)}, before: db.Instance{DailyCap: n(9)}, at: "warm_up.first_day"},
		"the cap taken from under it":   {put: db.PutInstanceParams{DailyCap: n(0)}, before: db.Instance{DailyCap: n(9), WarmUpDays: n(3), WarmUpFirst: n(2)}, at: "warm_up"},
		"the cap put below its warm-up": {put: db.PutInstanceParams{DailyCap: n(1)}, before: db.Instance{DailyCap: n(9), WarmUpDays: n(3), WarmUpFirst: n(2)}, at: "warm_up.first_day"},
	} {
		err := CheckLimits(tt.put, tt.before)
		if got := fieldOf(err); got != tt.at {
			t.Errorf("%s: complains about %q (%v), want %q", name, got, err, tt.at)
		}
	}
}

func fieldOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Field
}
