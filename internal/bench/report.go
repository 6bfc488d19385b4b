package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

func ms(nanoseconds int64) string {
	return fmt.Sprintf("%.1f ms", float64(nanoseconds)/float64(time.Millisecond))
}

// eachOf says how much of a time falls to each of so many messages.
func eachOf(messages int) func(time.Duration) string {
	return func(t time.Duration) string {
		return fmt.Sprintf("%.0f µs", float64(t.Microseconds())/float64(messages))
	}
}

// report prints what the rounds showed.
func (o Options) report(contenders []contender, runs map[string][]measured) {
	base := 0.0
	if r := runs["asynq"]; r != nil {
		base = middle(r).rate(o.Messages)
	}
	o.say("\n| %d messages, %d chats, %d callers; median of %d rounds | messages/s | of raw asynq | least to most | accepted p50 | p99 |\n|---|---|---|---|---|---|\n",
		o.Messages, o.Chats, o.Callers, o.Rounds)
	for _, c := range contenders {
		m, rates := middle(runs[c.name]), []float64{}
		for _, r := range runs[c.name] {
			rates = append(rates, r.rate(o.Messages))
		}
		ratio := "–"
		if base > 0 && c.kind == KindSend {
			ratio = fmt.Sprintf("%.2f", m.rate(o.Messages)/base)
		}
		o.say("| %s | %.0f | %s | %.0f – %.0f | %s | %s |\n", c.label, m.rate(o.Messages), ratio,
			slices.Min(rates), slices.Max(rates), ms(m.answered.P50), ms(m.answered.P99))
	}
	o.say("\n| for each message | CPU in all | API | worker | PostgreSQL | Redis | SQL statements | Redis commands | WAL | allocations API, worker | peak memory API, worker |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range contenders {
		m := middle(runs[c.name])
		u := m.used
		each := eachOf(o.Messages)
		count := func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/float64(o.Messages)) }
		statements := "–"
		if u.statements >= 0 {
			statements = count(u.statements)
		}
		o.say("| %s | %s | %s | %s | %s | %s | %s | %s | %.0f B | %.0f, %.0f | %d MiB, %d MiB |\n", c.label, u.cpuOf(o.Messages),
			each(u.cpu["api"]), each(u.cpu["worker"]), each(u.cpu["postgres"]), each(u.cpu["redis"]), statements, count(u.commands),
			float64(u.wal)/float64(o.Messages), float64(u.allocs["api"])/float64(o.Messages), float64(u.allocs["worker"])/float64(o.Messages),
			m.peak["api"]>>20, m.peak["worker"]>>20)
	}
	for _, c := range contenders {
		o.statements(c, middle(runs[c.name]), o.Messages)
	}
	o.say("\n")
}

// statements prints which SQL one of ours spent its time with.
func (o Options) statements(c contender, m measured, messages int) {
	if !c.ours || len(m.slowest) == 0 {
		return
	}
	o.say("\n| %s: SQL | calls | messages a call | time a call | time a message |\n|---|---|---|---|---|\n", c.label)
	for _, s := range m.slowest {
		o.say("| %s | %d | %.1f | %s | %.0f µs |\n", s.name, s.calls, float64(messages)/float64(s.calls),
			ms(s.time.Nanoseconds()/s.calls), float64(s.time.Microseconds())/float64(messages))
	}
}

// evenRate is a rate at which single messages are measured.
type evenRate struct {
	what    string
	rate    int // a second
	seconds int
}

// sharesOf are the rates that tell how a machine fares which could do the most.
func sharesOf(most float64) []evenRate {
	rates := []evenRate{{"idle: 50/s", 50, 20}} // so slow that every message finds everybody asleep
	for _, share := range []struct {
		what string
		of   float64
	}{{"a quarter of the most", 0.25}, {"half of the most", 0.5}, {"three quarters", 0.75}} {
		rate := int(most * share.of)
		rates = append(rates, evenRate{fmt.Sprintf("%s: %d/s", share.what, rate), rate, 10})
	}
	return rates
}

// evenRates are those that were asked for.
func (o Options) evenRates() []evenRate {
	var rates []evenRate
	for _, rate := range o.Rates {
		rates = append(rates, evenRate{fmt.Sprintf("%d/s", rate), rate, 10})
	}
	return rates
}

// latencies measures how long one message takes while others come at an even
// rate, whoever still waits: ours, and, to tell what the machine can do, raw
// asynq's at the same rates.
func (s *servers) latencies(ctx context.Context, rates []evenRate) error {
	s.say("| at an even rate | by | accepted p50 | p99 | at the gateway p50 | p99 | CPU each | API | worker | PostgreSQL | Redis |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rates {
		for _, c := range s.contenders() {
			if c.name != "api" && c.name != "asynq" {
				continue
			}
			if err := s.latency(ctx, c, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *servers) latency(ctx context.Context, c contender, r evenRate) error {
	messages := r.rate * r.seconds
	st, err := s.setUp(ctx, c, warmUp+messages)
	if err != nil {
		return err
	}
	defer st.tearDown(ctx)
	m, err := st.measure(ctx, messages, r.rate)
	if err != nil {
		return err
	}
	seen, err := st.arrivals(ctx, true)
	if err != nil {
		return err
	}
	var took []int64
	for i, asked := range m.answered.Asked {
		if asked > 0 {
			took = append(took, seen.At[warmUp+i]-asked)
		}
	}
	slices.Sort(took)
	each := eachOf(messages)
	s.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.what, c.label, ms(m.answered.P50), ms(m.answered.P99), ms(took[len(took)/2]), ms(took[len(took)*99/100]),
		m.used.cpuOf(messages), each(m.used.cpu["api"]), each(m.used.cpu["worker"]), each(m.used.cpu["postgres"]), each(m.used.cpu["redis"]))
	if len(s.Rates) > 0 {
		s.statements(c, m, messages)
	}
	return nil
}
