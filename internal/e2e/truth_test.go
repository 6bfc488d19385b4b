package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// comparing has workers compare often, and believe at once that a webhook is lost.
func comparing(o options) options {
	o.env = append(o.env, "RECONCILE_EVERY=1s", "RECONCILE_GRACE=1s")
	return o
}

// deaf has the gateway lose every webhook from now on, without knowing it.
func deaf(t *testing.T, s *system) {
	t.Helper()
	f := sandbox.DefaultFaults()
	f.WebhookDrop = 1
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
}

// write has somebody write, some seconds ago.
func write(t *testing.T, s *system, from, text string, secondsAgo int64) {
	t.Helper()
	_, err := s.gateway.Receive(sandbox.Inbound{Instance: "sales", From: from, Text: text, Timestamp: time.Now().Unix() - secondsAgo})
	if err != nil {
		t.Fatal(err)
	}
}

// texts lists what stands in a chat, oldest first.
func texts(s *system, chat string) []string {
	s.tb.Helper()
	rows := s.list("/v1/instances/sales/chats/" + chat + "/messages?limit=200")
	out := make([]string, len(rows))
	for i, m := range rows {
		out[len(rows)-1-i], _ = m["text"].(string)
	}
	return out
}

func (s *system) shown(name string) map[string]any {
	s.tb.Helper()
	status, i := s.call(http.MethodGet, "/v1/instances/"+name, nil)
	if status != http.StatusOK {
		s.tb.Fatalf("get instance: %d %v", status, i)
	}
	return i
}

func TestWhatWebhooksLostIsFoundInTheGatewaysRecords(t *testing.T) {
	t.Parallel()
	// Compared only once the gateway says that it is back, so that no webhook can
	// be late.
	s := start(t, options{env: []string{"RECONCILE_EVERY=24h", "RECONCILE_GRACE=1s"}})
	s.instance("sales")
	pool := testenv.PoolOn(t, s.database)
	if _, err := pool.Exec(t.Context(), "UPDATE instances SET created_at = created_at - interval '1 hour'"); err != nil {
		t.Fatal(err) // it has been connected for a while
	}
	sent := s.send("sales", "+5215550000009", "Un aviso")["id"]
	s.awaitStatus(sent, "accepted", "delivered", "read")
	const chats, each = 3, 6
	lost := 0
	want := map[string][]string{}
	for n := range each {
		for c := range chats {
			f := sandbox.DefaultFaults()
			if (n+c)%2 == 0 {
				f.WebhookDrop = 1
				lost++
			}
			if err := s.gateway.SetFaults(f); err != nil {
				t.Fatal(err)
			}
			chat, text := fmt.Sprintf("521555000000%d", c), fmt.Sprintf("mensaje %d de %d", n, c)
			write(t, s, chat, text, int64(600-10*n))
			want[chat] = append(want[chat], text)
			eventually(t, "its webhook is posted or lost", func() bool { return s.gateway.Unfinished() == 0 })
		}
	}
	deaf(t, s)
	silent := s.send("sales", "+5215550000009", "Otro aviso")["id"] // its statuses are lost
	eventually(t, "the statuses are lost", func() bool { return len(s.gateway.Sent()) == 2 && s.gateway.Unfinished() == 0 })
	mend(t, s)
	s.gateway.Restart()

	s.awaitStatus(silent, "read")
	eventually(t, "every gap is counted", func() bool { return s.shown("sales")["gaps"] == float64(lost) })
	eventually(t, "what webhooks told is there, too", func() bool { return len(s.list("/v1/messages?direction=inbound&limit=200")) == chats*each })
	for chat, written := range want {
		if diff := cmp.Diff(written, texts(s, chat)); diff != "" {
			t.Errorf("chat %s (-want +got):\n%s", chat, diff)
		}
	}
	s.workers[0].awaitLine("instance.gap")
	i := s.shown("sales")
	if i["gaps"] != float64(lost) || i["last_gap_at"] == nil || i["reconciled_to"] == nil {
		t.Errorf("%v gaps, the last %v, compared to %v, want %d gaps", i["gaps"], i["last_gap_at"], i["reconciled_to"], lost)
	}
	if n := metric(t, s.workers[0].addr[""], `msgorch_gap_messages_total{instance="sales"}`); n != float64(lost) {
		t.Errorf("the metric counts %v gaps, want %d", n, lost)
	}
	for _, chat := range s.list("/v1/instances/sales/chats") {
		if unread := chat["unread"]; want[strings.TrimSuffix(chat["jid"].(string), "@s.whatsapp.net")] != nil && unread != float64(each) {
			t.Errorf("unread of %v = %v, want %d", chat["jid"], unread, each)
		}
	}
	if got := len(s.gateway.Sent()); got != 2 {
		t.Errorf("the gateway was asked %d times to send, want twice", got)
	}
}

func TestWhatIsOlderThanTheInstanceMakesNothingUnread(t *testing.T) {
	t.Parallel()
	s := start(t, comparing(options{noWorkers: true}))
	deaf(t, s)
	write(t, s, "5215550000001", "antes", 3600)
	s.instance("sales")
	s.startWorker()
	eventually(t, "it is there", func() bool { return len(s.list("/v1/messages?direction=inbound")) == 1 })
	if unread := s.list("/v1/instances/sales/chats")[0]["unread"]; unread != 0.0 {
		t.Errorf("unread = %v, want 0", unread)
	}
	if gaps := s.shown("sales")["gaps"]; gaps != 0.0 {
		t.Errorf("gaps = %v, want 0: nobody could have told of it", gaps)
	}
}

func TestAComparisonThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, comparing(options{noWorkers: true}))
	s.instance("sales")
	pool := testenv.PoolOn(t, s.database)
	if _, err := pool.Exec(t.Context(), "UPDATE instances SET created_at = created_at - interval '1 day'"); err != nil {
		t.Fatal(err)
	}
	deaf(t, s)
	const messages = 1500
	for n := range messages {
		write(t, s, fmt.Sprintf("521555000000%d", n%5), fmt.Sprint(n/5), int64(60+2*(messages-n)))
	}
	first := s.startWorker()
	count := func() (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gateway_events").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "a part of it is stored", func() bool { return count() > 0 })
	first.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it runs
	first.wait()
	flush(t, s.redis)
	t.Logf("%d of %d were stored when the worker was killed", count(), messages)
	s.startWorker()
	s.startWorker()
	eventually(t, "all are there", func() bool {
		var n int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == messages
	})
	for c := range 5 {
		rows, err := pool.Query(t.Context(), "SELECT m.text FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.jid = $1 ORDER BY m.created_at, m.seq",
			fmt.Sprintf("521555000000%d@s.whatsapp.net", c))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; rows.Next(); n++ {
			var text string
			if err := rows.Scan(&text); err != nil || text != fmt.Sprint(n) {
				t.Errorf("chat %d: message %d says %q, %v", c, n, text, err)
				break
			}
		}
		rows.Close()
	}
	if gaps := s.shown("sales")["gaps"]; gaps != float64(messages) {
		t.Errorf("gaps = %v, want %d", gaps, messages)
	}
}

func TestAMessageThatNothingIsHeardOfIsMarkedUntilItIs(t *testing.T) {
	t.Parallel()
	s := start(t, options{env: []string{"ACK_PATIENCE=1s", "RECONCILE_EVERY=0"}})
	s.instance("sales")
	f := sandbox.DefaultFaults()
	f.AckDelayMS, f.ReadDelayMS = []int{600_000, 600_000}, []int{600_000, 600_000}
	if err := s.gateway.SetFaults(f); err != nil {
		t.Fatal(err)
	}
	group := s.send("sales", "120363000000000001@g.us", "Hola a todos")["id"]
	s.awaitStatus(group, "accepted")
	late := s.send("sales", "+5215550000001", "¿Llegó?")["id"]
	var m map[string]any
	eventually(t, "it is marked", func() bool { m = s.message(late); return m["ack_overdue_at"] != nil })
	if m["status"] != "accepted" {
		t.Errorf("status = %v, want accepted", m["status"])
	}
	if m := s.message(group); m["ack_overdue_at"] != nil {
		t.Error("a message to a group is marked, of which gateways report nothing")
	}
	if rows := s.list("/v1/messages?ack_overdue=true"); len(rows) != 1 || rows[0]["id"] != late {
		t.Errorf("overdue are %v, want the message", rows)
	}
	if n := s.shown("sales")["ack_overdue"]; n != 1.0 {
		t.Errorf("the instance counts %v overdue, want 1", n)
	}
	s.workers[0].awaitLine("messages.ack_overdue")
	if n := metric(t, s.workers[0].addr[""], `msgorch_ack_overdue_total{instance="sales"}`); n != 1 {
		t.Errorf("the metric counts %v, want 1", n)
	}

	body := fmt.Appendf(nil, `{"event":"messages.update","instance":"sales","data":{"keyId":%q,"status":"DELIVERY_ACK"}}`, m["gateway_message_id"])
	if status, answer := s.webhook("/webhooks/evolution/sales", body); status != http.StatusOK {
		t.Fatalf("webhook: %d %v", status, answer)
	}
	if m = s.awaitStatus(late, "delivered"); m["ack_overdue_at"] != nil {
		t.Errorf("it is still marked: %v", m["ack_overdue_at"])
	}
	if n := s.shown("sales")["ack_overdue"]; n != 0.0 {
		t.Errorf("the instance counts %v overdue, want none", n)
	}
	if got := len(s.gateway.Sent()); got != 2 {
		t.Errorf("the gateway was asked %d times to send two messages", got)
	}
}

func TestTheGatewayIsAskedBeforeAMessageIsMarked(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, env: []string{"ACK_PATIENCE=2s", "RECONCILE_EVERY=0"}})
	s.instance("sales")
	s.gateway.SetWebhook("http://127.0.0.1:1", "") // so that statuses happen, and nobody hears of them
	id := s.send("sales", "+5215550000001", "Hola")["id"]
	if m := s.awaitStatus(id, "delivered", "read"); m["ack_overdue_at"] != nil {
		t.Errorf("it is marked, although the gateway knew better: %v", m)
	}
}
