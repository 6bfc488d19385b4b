package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// limited makes an instance with limits.
func (s *system) limited(name string, limits map[string]any) {
	s.tb.Helper()
	body := map[string]any{"gateway": "evolution"}
	maps.Copy(body, limits)
	if status, answer := s.call(http.MethodPut, "/v1/instances/"+name, body); status/100 != 2 {
		s.tb.Fatalf("put instance: %d %v", status, answer)
	}
}

// batch accepts texts, at most 1,000, each for a chat of its own, and returns
// their ids.
func (s *system) batch(instance, priority string, texts ...string) []any {
	s.tb.Helper()
	messages := make([]any, len(texts))
	for i, text := range texts {
		messages[i] = map[string]any{"instance": instance, "to": fmt.Sprintf("52155510%05d", i), "text": text, "priority": priority}
	}
	status, answer := s.call(http.MethodPost, "/v1/messages/batch", map[string]any{"messages": messages})
	if status != http.StatusAccepted {
		s.tb.Fatalf("batch: %d %v", status, answer)
	}
	var ids []any
	for _, r := range answer["results"].([]any) {
		ids = append(ids, r.(map[string]any)["id"])
	}
	return ids
}

func numbered(prefix string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s %d", prefix, i)
	}
	return texts
}

// arrivals are when the gateway was asked to send, in order.
func arrivals(s *system, instance string) []sandbox.Sent {
	var out []sandbox.Sent
	for _, m := range s.gateway.Sent() {
		if m.Instance == instance {
			out = append(out, m)
		}
	}
	return out
}

// noFasterThan fails if a message came before its slot: burst of them at once since
// began, and one each interval after. A busy machine only makes messages late; and
// ones that hurry because others were late are counted from the beginning, too.
func noFasterThan(t *testing.T, began time.Time, sent []sandbox.Sent, burst int, interval time.Duration) {
	t.Helper()
	const clocks = 500 * time.Millisecond // PostgreSQL's and ours, and timers
	for i, m := range sent {
		if slot := began.Add(time.Duration(i+1-burst) * interval); m.ReceivedAt.Before(slot.Add(-clocks)) {
			t.Errorf("message %d came %s before its slot", i, slot.Sub(m.ReceivedAt))
		}
	}
}

func TestWorkersShareTheRateOfAnInstance(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 3})
	s.limited("sales", map[string]any{"rate_per_minute": 600, "burst": 5})
	began := time.Now()
	const messages = 100
	s.batch("sales", "default", numbered("sale", messages/2)...)
	s.batch("sales", "bulk", numbered("offer", messages/2)...) // to the same chats
	eventually(t, "all are sent", func() bool { return len(arrivals(s, "sales")) == messages })
	sent := arrivals(s, "sales")
	noFasterThan(t, began, sent, 5, 100*time.Millisecond)
	for _, m := range s.list("/v1/messages?limit=200") {
		if s.message(m["id"])["status"] != "accepted" || len(s.message(m["id"])["attempts"].([]any)) != 1 {
			t.Errorf("a limited message is %v", s.message(m["id"]))
		}
	}
}

func TestWhatWaitsBehindALimitIsNotInRedisAndDelaysNobody(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("hot", map[string]any{"rate_per_minute": 6})
	s.instance("quiet")
	began := time.Now()
	s.batch("hot", "critical", numbered("a", 1000)...)
	s.batch("hot", "default", numbered("b", 1000)...)
	rdb := redisOf(t, s)
	s.awaitStatus(s.send("quiet", "+5215550000001", "Hola")["id"], "accepted")
	eventually(t, "Redis is empty of them", func() bool {
		keys, err := rdb.Keys(t.Context(), "asynq:{*}:t:message*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return len(keys) <= 2 // one that wakes a worker may come and go
	})
	eventually(t, "one was sent", func() bool { return len(arrivals(s, "hot")) > 0 })
	noFasterThan(t, began, arrivals(s, "hot"), 1, 10*time.Second)
	var i map[string]any
	if _, i = s.call(http.MethodGet, "/v1/instances/hot", nil); i["next_slot_at"] == nil {
		t.Errorf("nothing tells when the next one goes: %v", i)
	}
	// All of it can be stopped, at once and for good.
	status, answer := s.call(http.MethodPost, "/v1/messages/cancel?instance=hot", nil)
	if n := len(arrivals(s, "hot")); status != http.StatusOK || answer["count"].(float64)+float64(n) != 2000 {
		t.Errorf("canceled %v (%d), and %d were sent", answer, status, n)
	}
}

func TestNoPriorityStarvesAnotherOfALimitedInstance(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"rate_per_minute": 600})
	s.call(http.MethodPost, "/v1/instances/sales/pause", nil)
	messages := make([]any, 0, 300)
	for i := range 100 {
		for p, priority := range []string{"bulk", "default", "critical"} {
			messages = append(messages, map[string]any{
				"instance": "sales", "to": fmt.Sprintf("5215552%02d%04d", p, i), "text": priority, "priority": priority,
			})
		}
	}
	if status, answer := s.call(http.MethodPost, "/v1/messages/batch", map[string]any{"messages": messages}); status != http.StatusAccepted {
		t.Fatalf("batch: %d %v", status, answer)
	}
	s.call(http.MethodPost, "/v1/instances/sales/resume", nil)
	eventually(t, "some are sent", func() bool { return len(arrivals(s, "sales")) >= 80 })
	count := map[string]int{}
	for _, m := range arrivals(s, "sales")[:80] {
		count[m.Text]++
	}
	// Of 80, the weights 6:3:1 make about 48, 24 and 8.
	if count["critical"] < 30 || count["default"] < 10 || count["bulk"] < 1 {
		t.Errorf("the first 80 were %v", count)
	}
}

func TestAChatHasARateOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"chat_rate_per_minute": 20, "chat_burst": 2})
	began := time.Now()
	for i := range 4 {
		s.send("sales", "+5215550000001", fmt.Sprint("uno ", i))
	}
	s.awaitStatus(s.send("sales", "+5215550000002", "dos")["id"], "accepted")
	if n := len(arrivals(s, "sales")); n > 4 && time.Since(began) < 6*time.Second {
		t.Errorf("another chat waited for %d messages of the first", n)
	}
	eventually(t, "all are sent", func() bool { return len(arrivals(s, "sales")) == 5 })
	sent := slices.DeleteFunc(arrivals(s, "sales"), func(m sandbox.Sent) bool { return m.Text == "dos" })
	for i, m := range sent {
		if m.Text != fmt.Sprint("uno ", i) {
			t.Errorf("message %d was %q", i, m.Text)
		}
	}
	noFasterThan(t, began, sent, 2, 3*time.Second)
}

func TestTwoMessagesHaveAGapBetweenThem(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 3})
	s.limited("sales", map[string]any{"gap_ms": []int{1500, 2500}})
	began := time.Now()
	s.batch("sales", "default", numbered("m", 6)...)
	eventually(t, "all are sent", func() bool { return len(arrivals(s, "sales")) == 6 })
	sent := arrivals(s, "sales")
	gaps := map[time.Duration]bool{}
	for i := 1; i < len(sent); i++ {
		gaps[sent[i].ReceivedAt.Sub(sent[i-1].ReceivedAt).Round(10*time.Millisecond)] = true
	}
	noFasterThan(t, began, sent, 1, 1500*time.Millisecond)
	if len(gaps) < 3 {
		t.Errorf("the gaps are no random ones: %v", gaps)
	}
}

func TestADayHasACap(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"daily_cap": 3})
	nobody := s.send("sales", "+5215550000404", "to nobody")["id"] // the sandbox has nobody behind 0404
	s.awaitStatus(nobody, "failed")
	s.batch("sales", "default", numbered("m", 5)...)
	var i map[string]any
	eventually(t, "the cap is reached", func() bool {
		_, i = s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["sent_today"] == 3.0 && i["next_slot_at"] != nil
	})
	next, err := time.Parse(time.RFC3339, i["next_slot_at"].(string))
	if err != nil || next.UTC().Truncate(24*time.Hour) != next.UTC() || i["cap_today"] != 3.0 {
		t.Errorf("instance = %v", i)
	}
	s.limited("sales", map[string]any{"daily_cap": 100, "warm_up": map[string]any{"first_day": 4, "days": 10}})
	eventually(t, "the first day of the warm-up has one more", func() bool {
		_, i = s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["sent_today"] == 4.0 && i["cap_today"] == 4.0
	})
	s.limited("sales", map[string]any{"warm_up": map[string]any{"days": 0}})
	eventually(t, "all are sent", func() bool { return len(delivered(s)) == 5 })
}

func TestACanceledMessageIsNeverSent(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	s.limited("slow", map[string]any{"rate_per_minute": 1200, "burst": 3})
	var canceled, refused sync.Map
	var people sync.WaitGroup
	for p := range 8 {
		people.Go(func() {
			for n := range 25 {
				instance := []string{"sales", "slow"}[n%2]
				text := fmt.Sprintf("%d/%d", p, n)
				id := s.send(instance, fmt.Sprintf("52155530%02d%03d", p, n%3), text)["id"]
				// Any moment of its life: from at once to after it was sent.
				<-time.After(time.Duration(n*p%40) * time.Millisecond)
				switch status, answer := s.call(http.MethodPost, fmt.Sprintf("/v1/messages/%v/cancel", id), nil); status {
				case http.StatusOK:
					canceled.Store(text, id)
				case http.StatusConflict:
					refused.Store(text, id)
				default:
					t.Errorf("cancel: %d %v", status, answer)
				}
			}
		})
	}
	people.Wait()
	eventually(t, "the rest is sent", func() bool {
		return len(s.list("/v1/messages?status=queued"))+len(s.list("/v1/messages?status=sending")) == 0
	})
	sent := map[string]bool{}
	for _, texts := range delivered(s) {
		for _, text := range texts {
			sent[text] = true
		}
	}
	stopped := 0
	canceled.Range(func(text, id any) bool {
		stopped++
		if sent[text.(string)] || s.message(id)["status"] != "canceled" {
			t.Errorf("%v was canceled and is %v", text, s.message(id))
		}
		return true
	})
	refused.Range(func(text, id any) bool {
		if !sent[text.(string)] {
			t.Errorf("%v could not be canceled and was not sent: %v", text, s.message(id))
		}
		return true
	})
	if stopped == 0 || stopped == 200 {
		t.Errorf("%d of 200 were canceled: the test shows nothing", stopped)
	}
}

func TestAGatewayThatIsAwayIsTriedByOneMessageAtATime(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	s.send("sales", "+5215550000001", "the first")
	pool := testenv.PoolOn(t, s.database)
	failures := 0
	foundAway := func(times int) func() bool {
		return func() bool {
			if err := pool.QueryRow(t.Context(), "SELECT failures FROM instances WHERE name = 'sales'").Scan(&failures); err != nil {
				t.Fatal(err)
			}
			return failures >= times
		}
	}
	eventually(t, "it was found away", foundAway(1))
	s.batch("sales", "default", numbered("m", 40)...)
	eventually(t, "it was tried a few times", foundAway(4))
	if n := len(arrivals(s, "sales")); n > failures+1 {
		t.Errorf("it was asked %d times and found away %d times", n, failures)
	}
	mend(t, s)
	eventually(t, "all are sent", func() bool { return len(delivered(s)) == 41 })
}

// The one message that tries a gateway which was away may find it hanging.
func TestATryThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	first := s.send("sales", "+5215550000001", "the first")["id"]
	eventually(t, "it was refused", func() bool { return len(arrivals(s, "sales")) > 0 })
	f = sandbox.DefaultFaults()
	f.Hang, f.ResetDelivers = 1, 1
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it hangs", func() bool {
		sent := arrivals(s, "sales")
		return sent[len(sent)-1].Outcome == sandbox.OutcomeHang
	})
	mend(t, s)
	s.awaitStatus(s.send("sales", "+5215550000002", "the second")["id"], "accepted")
	if m := s.message(first); m["status"] != "sending" {
		t.Errorf("the second went only when the first was %v", m["status"])
	}
}

func TestAnInstanceThatWasRefusedIsProbedAndResumes(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.UnauthorizedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	id := s.send("sales", "+5215550000001", "Hola")["id"]
	var i map[string]any
	eventually(t, "the instance is paused, and says why", func() bool {
		_, i = s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["paused_at"] != nil
	})
	mend(t, s) // nobody resumes it, and no webhook comes
	s.awaitStatus(id, "accepted")
	if _, i = s.call(http.MethodGet, "/v1/instances/sales", nil); i["paused_at"] != nil || len(arrivals(s, "sales")) != 2 {
		t.Errorf("it was asked %d times to send, and is %v", len(arrivals(s, "sales")), i)
	}
}

func TestAScheduledMessageIsNotSentBeforeItsTime(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	s.limited("limited", map[string]any{"rate_per_minute": 6000})
	at := time.Now().Add(10 * time.Second).UTC()
	for _, instance := range []string{"sales", "limited"} {
		status, m := s.call(http.MethodPost, "/v1/messages", map[string]any{
			"instance": instance, "to": "+5215550000001", "text": "later", "send_at": at.Format(time.RFC3339Nano),
		})
		if status != http.StatusAccepted || m["status"] != "scheduled" {
			t.Fatalf("send: %d %v", status, m)
		}
		s.awaitStatus(s.send(instance, "+5215550000001", "now")["id"], "accepted") // the chat does not wait for it
	}
	eventually(t, "both are sent", func() bool { return len(s.gateway.Sent()) == 4 })
	for _, m := range s.gateway.Sent() {
		if m.Text == "later" && m.ReceivedAt.Before(at) {
			t.Errorf("sent %s before its time", at.Sub(m.ReceivedAt))
		}
	}
}

// What waits for a slot must not only be looked at when the slot comes.
func TestWhatExpiresWhileItWaitsSaysSoAndTakesNoSlot(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"rate_per_minute": 20})
	s.awaitStatus(s.send("sales", "+5215550000001", "takes the first slot")["id"], "accepted")
	var late []any
	expiry := time.Now().Add(20 * time.Second).UTC() // of all: however slowly they are accepted, seven slots at most come before
	for i := range 20 {
		status, m := s.call(http.MethodPost, "/v1/messages", map[string]any{
			"instance": "sales", "to": fmt.Sprintf("52155570%05d", i), "text": "late", "expires_at": expiry,
		})
		if status != http.StatusAccepted {
			t.Fatalf("send: %d %v", status, m)
		}
		late = append(late, m["id"])
	}
	last := s.send("sales", "+5215550000002", "behind them")["id"]
	for _, id := range late[12:] { // at three seconds a slot, few of them can have gone
		if m := s.awaitStatus(id, "expired"); m["error"] == nil || len(m["attempts"].([]any)) != 0 {
			t.Errorf("an expired message is %v", m)
		}
	}
	s.awaitStatus(last, "accepted")
}

func TestALimitSurvivesAFlushAndAKilledWorker(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"rate_per_minute": 300, "burst": 1})
	began := time.Now()
	const messages = 60 // twelve seconds
	s.batch("sales", "default", numbered("m", messages)...)
	rdb := redisOf(t, s)
	for n := range 2 {
		eventually(t, "some are sent", func() bool { return len(arrivals(s, "sales")) > 10*(n+1) })
		if err := rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		_ = s.workers[n].cmd.Process.Kill()
		s.startWorker()
	}
	eventually(t, "all are sent", func() bool {
		n := 0
		for _, texts := range delivered(s) {
			n += len(texts)
		}
		return n >= messages
	})
	sent := arrivals(s, "sales")
	noFasterThan(t, began, sent, 1, 200*time.Millisecond)
	times := map[string]int{}
	for _, m := range sent {
		if m.Delivered {
			times[m.Text]++
		}
	}
	for text, n := range times {
		if n != 1 {
			t.Errorf("%s was sent %d times", text, n)
		}
	}
}

func TestALimitedInstanceThatIsToldToSlowDownHalvesItsRate(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.limited("sales", map[string]any{"rate_per_minute": 120})
	f := sandbox.DefaultFaults()
	f.TooMany, f.RetryAfterSeconds = 1, 1
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	s.batch("sales", "default", numbered("m", 12)...)
	eventually(t, "the gateway has complained", func() bool { return len(arrivals(s, "sales")) >= 1 })
	mend(t, s)
	eventually(t, "the instance says that it is slowed down", func() bool {
		_, i := s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["slowed_until"] != nil
	})
	eventually(t, "all are sent", func() bool { return len(delivered(s)) == 12 })
	sent := arrivals(s, "sales")
	// A message a second instead of two, since it was told.
	if took := sent[len(sent)-1].ReceivedAt.Sub(sent[0].ReceivedAt); took < 10*time.Second {
		t.Errorf("twelve messages went within %s", took)
	}
}

func TestWhoIsToldToSlowDownWithoutATimeWaitsAllTheSame(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.TooMany, f.RetryAfterSeconds = 1, 0
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	id := s.send("sales", "+5215550000001", "uno")["id"]
	eventually(t, "it was told twice", func() bool { return len(arrivals(s, "sales")) >= 2 })
	if gap := arrivals(s, "sales")[1].ReceivedAt.Sub(arrivals(s, "sales")[0].ReceivedAt); gap < 600*time.Millisecond {
		t.Errorf("it was asked again after %s", gap)
	}
	mend(t, s)
	s.awaitStatus(id, "accepted")
}

func TestAnOpenSessionEndsABlockAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	id := s.send("sales", "+5215550000001", "Hola")["id"]
	pool := testenv.PoolOn(t, s.database)
	eventually(t, "it is blocked for long", func() bool {
		var failures int
		if err := pool.QueryRow(t.Context(), "SELECT failures FROM instances WHERE name = 'sales'").Scan(&failures); err != nil {
			t.Fatal(err)
		}
		if failures == 0 {
			return false
		}
		if _, err := pool.Exec(t.Context(), "UPDATE instances SET blocked_until = now() + interval '1 hour', slot_at = now() + interval '1 hour'"); err != nil {
			t.Fatal(err)
		}
		return len(arrivals(s, "sales")) == failures // nobody is trying it just now
	})
	mend(t, s)
	body := []byte(`{"event":"connection.update","instance":"sales","data":{"instance":"sales","state":"open","statusReason":200}}`)
	if status, answer := s.webhook("/webhooks/evolution/sales", body); status != http.StatusOK {
		t.Fatalf("webhook: %d %v", status, answer)
	}
	s.awaitStatus(id, "accepted")
}

func redisOf(t *testing.T, s *system) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(s.redis)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
