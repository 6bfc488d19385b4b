package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// These measure what is promised about time, each alone on the machine, and
// take minutes: `make pace` runs them.

func pace(t *testing.T) {
	t.Helper()
	if os.Getenv("PACE") == "" {
		t.Skip("make pace runs it")
	}
}

// densest returns how many messages the fullest window of a length holds.
func densest(sent []sandbox.Sent, window time.Duration) int {
	most := 0
	for i, first := range sent {
		n := 0
		for _, m := range sent[i:] {
			if m.ReceivedAt.Sub(first.ReceivedAt) < window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestPaceSixtyAMinute(t *testing.T) { //nolint:paralleltest // alone on the machine
	pace(t)
	s := start(t, options{quiet: true, workers: 3})
	s.limited("sales", map[string]any{"rate_per_minute": 60, "burst": 5})
	limit := map[string]any{"instance": "sales", "per_minute": 60, "burst": 6} // one more, for the way's jitter
	if status, _, answer := request(t, http.MethodPut, s.sandbox+"/sandbox/limits", limit, nil); status != http.StatusOK {
		t.Fatalf("limit: %d %v", status, answer)
	}
	s.batch("sales", "default", numbered("m", 300)...)
	<-time.After(150 * time.Second)
	sent := arrivals(s, "sales")
	refused := 0
	for _, m := range sent {
		if !m.Delivered {
			refused++
		}
	}
	span := sent[len(sent)-1].ReceivedAt.Sub(sent[0].ReceivedAt)
	t.Logf("%d messages in %.1f s by 3 workers: %.1f a minute after the burst; fullest minute %d; refused by the gateway %d",
		len(sent), span.Seconds(), float64(len(sent)-5)/span.Minutes(), densest(sent, time.Minute), refused)
	if n := densest(sent, time.Minute); n > 65 || refused > 0 || len(sent) < 145 {
		t.Errorf("%d in a minute, %d refused, %d in all", n, refused, len(sent))
	}
}

func TestPaceAGatewayDownForTwoMinutes(t *testing.T) { //nolint:paralleltest // alone on the machine
	pace(t)
	s := start(t, options{quiet: true, workers: 3})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	var ids []any
	want := map[string][]string{}
	for i := range 600 {
		text, to := fmt.Sprint(i), fmt.Sprintf("52155500%05d", i%40)
		ids = append(ids, s.send("sales", to, text)["id"])
		want[to+"@s.whatsapp.net"] = append(want[to+"@s.whatsapp.net"], text)
	}
	<-time.After(2 * time.Minute)
	asked := len(arrivals(s, "sales"))
	mend(t, s)
	back := time.Now()
	deadline := time.After(3 * time.Minute)
	for len(s.gateway.Sent())-asked < len(ids) {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d of %d went out", len(s.gateway.Sent())-asked, len(ids))
		}
	}
	var least int
	if err := testenv.PoolOn(t, s.database).QueryRow(t.Context(), "SELECT min(max_attempts - attempt) FROM messages").Scan(&least); err != nil {
		t.Fatal(err)
	}
	t.Logf("two minutes down: asked %d times; all %d out %.1f s after it was back", asked, len(ids), time.Since(back).Seconds())
	if least != 11 {
		t.Errorf("a message has %d attempts left, want 11 of 12", least)
	}
	if diff := cmp.Diff(want, delivered(s)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestPaceScheduled(t *testing.T) { //nolint:paralleltest // alone on the machine
	pace(t)
	s := start(t, options{quiet: true, workers: 3})
	s.instance("sales")
	due := map[string]time.Time{}
	for i := range 200 {
		at := time.Now().Add(2*time.Second + time.Duration(i)*37*time.Millisecond).UTC()
		text := fmt.Sprint(i)
		due[text] = at
		status, m := s.call(http.MethodPost, "/v1/messages", map[string]any{
			"instance": "sales", "to": fmt.Sprintf("52155500%05d", i), "text": text, "send_at": at.Format(time.RFC3339Nano),
		})
		if status != http.StatusAccepted {
			t.Fatalf("send: %d %v", status, m)
		}
	}
	eventually(t, "all are sent", func() bool { return len(s.gateway.Sent()) == len(due) })
	var late []time.Duration
	for _, m := range s.gateway.Sent() {
		late = append(late, m.ReceivedAt.Sub(due[m.Text]))
	}
	slices.Sort(late)
	t.Logf("%d messages with send_at, late by: least %s, median %s, most %s", len(late), late[0], late[len(late)/2], late[len(late)-1])
	if late[0] < 0 || late[len(late)-1] > time.Second {
		t.Error("send_at is to fire within a second, and never early")
	}
}

func TestPaceAHotNeighbour(t *testing.T) { //nolint:paralleltest // alone on the machine
	pace(t)
	for _, hot := range []struct { //nolint:paralleltest // one after the other
		name   string
		limits map[string]any
		slow   bool
	}{
		{"behind a limit of 60 a minute", map[string]any{"rate_per_minute": 60}, false},
		{"at a gateway that takes half a second", nil, true},
	} {
		t.Run(hot.name, func(t *testing.T) {
			s := start(t, options{quiet: true, workers: 3})
			s.instance("quiet")
			s.limited("hot", hot.limits)
			slow := sandbox.New(sandbox.Options{APIKey: gatewayKey})
			if hot.slow {
				f := sandbox.DefaultFaults()
				f.Slow, f.SlowMS = 1, []int{300, 700}
				if err := slow.SetFaults(f); err != nil {
					t.Fatal(err)
				}
				s.limited("hot", map[string]any{"base_url": serve(t, slow)})
			}
			for range 300 { // the first ones find a cold machine
				s.roundTrip()
			}
			var alone, beside []time.Duration
			for range 3 { // alternating, because the machine has moods
				alone = append(alone, s.quietLatencies(300)...)
				for range 4 {
					s.batch("hot", "default", numbered("m", 1000)...)
				}
				<-time.After(time.Second) // the accepting itself is no matter of waiting
				beside = append(beside, s.quietLatencies(300)...)
				if status, answer := s.call(http.MethodPost, "/v1/messages/cancel?instance=hot", nil); status != http.StatusOK {
					t.Fatalf("cancel: %d %v", status, answer)
				}
			}
			slices.Sort(alone)
			slices.Sort(beside)
			p := func(l []time.Duration, q float64) time.Duration { return l[int(q*float64(len(l)-1))] }
			ratio := float64(p(beside, .99)) / float64(p(alone, .99))
			t.Logf("accept to the gateway, alone: median %s, p99 %s; beside 4,000 waiting: median %s, p99 %s; ratio of p99 %.2f",
				p(alone, .5), p(alone, .99), p(beside, .5), p(beside, .99), ratio)
			if ratio > 1.2 && !hot.slow { // the slow one is worked on meanwhile, which takes its share of the machine
				t.Errorf("p99 rose by the factor %.2f, want at most 1.2", ratio)
			}
		})
	}
}

// quietLatencies sends one message after another through the quiet instance and
// returns how long each took from the request to the gateway.
func (s *system) quietLatencies(n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = s.roundTrip()
	}
	return out
}

func (s *system) roundTrip() time.Duration {
	s.tb.Helper()
	before := len(arrivals(s, "quiet"))
	began := time.Now()
	s.send("quiet", "+5215550000001", "Hola")
	eventually(s.tb, "it is sent", func() bool { return len(arrivals(s, "quiet")) > before })
	return arrivals(s, "quiet")[before].ReceivedAt.Sub(began)
}

func TestPaceTenThousandWaitAtNoCost(t *testing.T) { //nolint:paralleltest // alone on the machine
	pace(t)
	s := start(t, options{quiet: true, workers: 1})
	rdb := redisOf(t, s)
	pool := testenv.PoolOn(t, s.database)
	measure := func(what string) (commands, statements float64) {
		var transactions [2]int64
		var processed [2]int64
		const span = 20 * time.Second
		for i := range 2 {
			info, err := rdb.InfoMap(t.Context(), "stats").Result()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Sscan(info["Stats"]["total_commands_processed"], &processed[i])
			if err := pool.QueryRow(t.Context(), "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&transactions[i]); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				<-time.After(span)
			}
		}
		commands = float64(processed[1]-processed[0]) / span.Seconds()
		statements = float64(transactions[1]-transactions[0]) / span.Seconds()
		t.Logf("%s: %.1f Redis commands and %.1f transactions a second", what, commands, statements)
		return commands, statements
	}
	s.limited("hot", map[string]any{"rate_per_minute": 60})
	idle, _ := measure("nothing waits")
	for range 10 {
		s.batch("hot", "default", numbered("m", 1000)...)
	}
	<-time.After(5 * time.Second)
	waiting, _ := measure("10,000 wait behind 60 a minute")
	if waiting > idle*1.05+10 {
		t.Errorf("%.1f Redis commands a second, %.1f when nothing waits", waiting, idle)
	}
}
