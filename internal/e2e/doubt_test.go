package e2e_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// delivered lists what really went out to each recipient, in that order.
func delivered(s *system) map[string][]string {
	out := map[string][]string{}
	for _, m := range s.gateway.Sent() {
		if m.Delivered {
			out[m.To] = append(out[m.To], m.Text)
		}
	}
	return out
}

// breakAnswers has the gateway cut every connection, after having sent the
// given share of the messages.
func breakAnswers(t *testing.T, s *system, share float64) {
	t.Helper()
	f := sandbox.DefaultFaults()
	f.Reset, f.ResetDelivers = 1, share
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
}

func mend(t *testing.T, s *system) {
	t.Helper()
	if err := s.gateway.SetFaults(sandbox.DefaultFaults()); err != nil {
		t.Fatal(err)
	}
}

func TestAMessageWhoseAnswerWasLostIsFoundAndNotSentAgain(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	breakAnswers(t, s, 1)
	first := s.send("sales", "+5215550000001", "uno")["id"]
	second := s.send("sales", "+5215550000001", "dos")["id"]
	s.awaitDoubt(first)
	// Read first: the doubt may be over at any time.
	if got := s.message(second)["status"]; got != "queued" && s.message(first)["status"] == "unknown" {
		t.Errorf("the next message of the chat is %v while the first is in doubt", got)
	}
	mend(t, s)
	s.awaitStatus(first, "accepted")
	s.awaitStatus(second, "accepted")
	if diff := cmp.Diff([]string{"uno", "dos"}, delivered(s)["5215550000001@s.whatsapp.net"]); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
}

func TestAMessageThatSurelyWasNotSentIsSentAgainInItsPlace(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true})
	s.instance("sales")
	breakAnswers(t, s, 0)
	first := s.send("sales", "+5215550000001", "uno")["id"]
	second := s.send("sales", "+5215550000001", "dos")["id"]
	s.awaitDoubt(first)
	mend(t, s)
	s.awaitStatus(second, "accepted")
	if diff := cmp.Diff([]string{"uno", "dos"}, delivered(s)["5215550000001@s.whatsapp.net"]); diff != "" {
		t.Errorf("went out (-want +got):\n%s", diff)
	}
	calls := 0 // two, or more if it was tried again before the gateway was mended
	for _, m := range s.gateway.Sent() {
		if m.Text == "uno" {
			calls++
		}
	}
	if n := len(s.message(first)["attempts"].([]any)); n < 2 || n != calls {
		t.Errorf("%d attempts are recorded, want each of the %d calls", n, calls)
	}
}

func TestAGatewaysOwnReportResolvesADoubt(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.instance("sales")
	breakAnswers(t, s, 1)
	id := s.send("sales", "+5215550000001", "uno")["id"]
	s.awaitStatus(id, "accepted", "delivered", "read")
	if n := len(s.list("/v1/messages?direction=outbound")); n != 1 {
		t.Errorf("the message has %d rows", n)
	}
}

func TestTheWorkOfAKilledWorkerGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, options{workers: 2, quiet: true})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.Slow, f.SlowMS = 1, []int{300, 600}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	const messages, chats = 60, 12
	for i := range messages {
		s.send("sales", fmt.Sprintf("52155500%05d", i%chats), fmt.Sprintf("%02d", i/chats))
	}
	eventually(t, "work is under way", func() bool { return len(s.gateway.Sent()) > chats/2 })
	if err := s.workers[0].cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	eventually(t, "everything is accepted", func() bool { return len(s.list("/v1/messages?status=accepted&limit=200")) == messages })
	t.Logf("all settled %s after the kill", time.Since(killed).Round(time.Millisecond))
	for chat, texts := range delivered(s) {
		if len(texts) != messages/chats || !slices.IsSorted(texts) {
			t.Errorf("%s got %v", chat, texts)
		}
	}
}

func TestMessagesOfAChatAreAppliedInTheOrderTheyWereWritten(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, noWorkers: true})
	body := func(id, text string, at int) []byte {
		return fmt.Appendf(nil, `{"event":"messages.upsert","instance":"sales","data":{"key":{"remoteJid":"5215550000001@s.whatsapp.net","fromMe":false,"id":%q},"message":{"conversation":%q},"messageTimestamp":%d}}`, id, text, at)
	}
	const messages = 12
	for i := messages - 1; i >= 0; i-- { // the last one comes first
		if status, answer := s.webhook("/webhooks/evolution/sales", body(fmt.Sprintf("ID%d", i), fmt.Sprintf("%02d", i), 1763880000+i)); status != 200 {
			t.Fatalf("webhook: %d %v", status, answer)
		}
	}
	s.startWorker() // now, because on a busy machine the first may have settled before the last came
	s.startWorker()
	eventually(t, "all are applied", func() bool { return len(s.list("/v1/messages?direction=inbound")) == messages })
	var applied []string
	rows, err := testenv.PoolOn(t, s.database).Query(t.Context(), "SELECT text FROM messages ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		applied = append(applied, text)
	}
	if !slices.IsSorted(applied) || len(applied) != messages {
		t.Errorf("applied in the order %v", applied)
	}
}
