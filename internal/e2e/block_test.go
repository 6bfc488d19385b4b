package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestAGatewayThatIsDownCostsNoAttempt(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	s.instance("support")
	f := sandbox.DefaultFaults()
	f.ClosedInstances = []string{"sales"}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	var ids []any
	for i := range 12 {
		ids = append(ids, s.send("sales", fmt.Sprintf("52155500%05d", i%3), fmt.Sprint(i))["id"])
	}
	var i map[string]any
	eventually(t, "the instance is blocked, and says why", func() bool {
		_, i = s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["blocked_until"] != nil
	})
	if reason, _ := i["block_reason"].(string); len(reason) < 20 || i["paused_at"] != nil {
		t.Errorf("instance = %v", i)
	}
	s.awaitStatus(s.send("support", "+5215550000009", "another instance")["id"], "accepted")
	pool := testenv.PoolOn(t, s.database)
	eventually(t, "it was tried a few times", func() bool {
		var failures int
		if err := pool.QueryRow(t.Context(), "SELECT failures FROM instances WHERE name = 'sales'").Scan(&failures); err != nil {
			t.Fatal(err)
		}
		return failures >= 3
	})
	mend(t, s)
	for _, id := range ids {
		s.awaitStatus(id, "accepted")
	}
	var budget int
	if err := pool.QueryRow(t.Context(), "SELECT min(max_attempts - attempt) FROM messages WHERE attempt > 0").Scan(&budget); err != nil {
		t.Fatal(err)
	}
	if budget != 11 { // the one that succeeded
		t.Errorf("a message has %d attempts left, want 11 of 12", budget)
	}
	for chat := range 3 {
		want := []string{fmt.Sprint(chat), fmt.Sprint(chat + 3), fmt.Sprint(chat + 6), fmt.Sprint(chat + 9)}
		if diff := cmp.Diff(want, delivered(s)[fmt.Sprintf("52155500%05d@s.whatsapp.net", chat)]); diff != "" {
			t.Errorf("went out (-want +got):\n%s", diff)
		}
	}
	if _, i = s.call(http.MethodGet, "/v1/instances/sales", nil); i["blocked_until"] != nil {
		t.Errorf("it is still blocked: %v", i)
	}
}

func TestAnInstanceSlowsDownWhenItIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.TooMany, f.RetryAfterSeconds = 1, 2
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	first := s.send("sales", "+5215550000001", "uno")["id"]
	eventually(t, "the gateway has complained", func() bool { return len(s.gateway.Sent()) >= 1 })
	told := s.gateway.Sent()[0].ReceivedAt // this test may be late to see it
	// What is claimed before the complaint is known may still go.
	eventually(t, "the complaint is known", func() bool {
		_, i := s.call(http.MethodGet, "/v1/instances/sales", nil)
		return i["blocked_until"] != nil || time.Since(told) > 2*time.Second
	})
	mend(t, s)
	second := s.send("sales", "+5215550000002", "dos")["id"]
	s.awaitStatus(first, "accepted")
	s.awaitStatus(second, "accepted")
	for _, m := range s.gateway.Sent()[1:] {
		if waited := m.ReceivedAt.Sub(told); waited < 1500*time.Millisecond {
			t.Errorf("%q was sent %s after the gateway asked for two seconds", m.Text, waited)
		}
	}
}
