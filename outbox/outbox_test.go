package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// A client whose server is away tries to dial in the background until it
// notices that it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

const mexico = "+5215550000001"

func hello(key string) tasks.SendMessage {
	return tasks.SendMessage{Key: key, Instance: "sales", To: mexico, Text: "Hola"}
}

// box is an outbox with a database and a Redis of its own, and the instance
// "sales".
type box struct {
	*outbox.Outbox
	pool      *pgxpool.Pool
	inspector *asynq.Inspector
}

func newBox(t *testing.T) box {
	t.Helper()
	pool := testenv.Pool(t)
	url := testenv.Redis(t)
	b := box{outbox.New(pool, testenv.Client(t, url)), pool, asynq.NewInspector(testenv.RedisOpt(t, url))}
	t.Cleanup(func() { _ = b.inspector.Close() })
	b.addInstance(t, "sales")
	return b
}

func (b box) addInstance(t *testing.T, name string) {
	t.Helper()
	if _, err := db.New(b.pool).PutInstance(t.Context(), db.PutInstanceParams{Name: name, Gateway: "sandbox"}); err != nil {
		t.Fatal(err)
	}
}

func (b box) send(t *testing.T, m tasks.SendMessage) outbox.Receipt {
	t.Helper()
	r, err := b.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// count runs a query that answers with one number.
func (b box) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// queued returns the ids of the messages that Redis has tasks for.
func (b box) queued(t *testing.T) map[string]int {
	t.Helper()
	ids := map[string]int{}
	for _, queue := range []string{"critical", "default", "bulk"} {
		list, err := b.inspector.ListPendingTasks(queue, asynq.PageSize(1000))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range list {
			for _, m := range messagesOf(t, task) {
				if want := tasks.QueueOf(m.Priority); queue != want {
					t.Errorf("a message of priority %q is in the queue %s", m.Priority, queue)
				}
				ids[m.ID]++
			}
		}
	}
	return ids
}

func messagesOf(t *testing.T, task *asynq.TaskInfo) []tasks.SendMessage {
	t.Helper()
	var one tasks.SendMessage
	var several tasks.SendMessages
	var err error
	switch task.Type {
	case "message:send":
		err = json.Unmarshal(task.Payload, &one)
		several.Messages = []tasks.SendMessage{one}
	case "messages:send":
		err = json.Unmarshal(task.Payload, &several)
	default:
		t.Fatalf("a task of type %s", task.Type)
	}
	if err != nil {
		t.Fatal(err)
	}
	return several.Messages
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestSendCommitsAndThenQueues(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	m := hello("a")
	m.Priority, m.Metadata = "critical", map[string]any{"order": "A-17"}

	r := b.send(t, m)

	if want, got := "5215550000001@s.whatsapp.net", r.Chat; got != want {
		t.Errorf("chat = %q, want %q", got, want)
	}
	if r.Status != "queued" || r.Replayed || r.CreatedAt.IsZero() {
		t.Errorf("receipt = %+v, want a queued message that is new", r)
	}
	row, err := db.New(b.pool).MessageDetail(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !row.ShownMessage.CreatedAt.Equal(r.CreatedAt) || row.ShownMessage.Chat != r.Chat || *row.ShownMessage.Text != m.Text || row.ShownMessage.Status != "queued" {
		t.Errorf("row = %+v, want what the receipt says", row)
	}
	info, err := b.inspector.GetTaskInfo("critical", "message:send:"+r.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	want := m
	want.ID = r.ID.String()
	if diff := cmp.Diff([]tasks.SendMessage{want}, messagesOf(t, info)); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
}

func TestAKeyStandsForOneMessage(t *testing.T) {
	t.Parallel()
	spelled := hello("a")
	spelled.To, spelled.Priority = "+52 1 (555) 000-0001", "default"
	later := hello("a")
	later.ExpiresAt = time.Now().Add(time.Hour)
	other := hello("a")
	other.Text = "Adiós"
	elsewhere := hello("a")
	elsewhere.To = "+5215550000002"
	annotated := hello("a")
	annotated.Metadata = map[string]any{"a": 1}
	tests := []struct {
		name string
		give tasks.SendMessage // after hello("a")
		want string            // a fault code; empty: it is the same
	}{
		{"the same message", hello("a"), ""},
		{"the same message, spelled otherwise", spelled, ""},
		{"another text", other, "idempotency_key_reused"},
		{"another recipient", elsewhere, "idempotency_key_reused"},
		{"another expiry", later, "idempotency_key_reused"},
		{"other metadata", annotated, "idempotency_key_reused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			first := b.send(t, hello("a"))

			got, err := b.Send(t.Context(), tt.give)

			if code(err) != tt.want {
				t.Fatalf("error = %v, want the code %q", err, tt.want)
			}
			if n := b.count(t, "SELECT count(*) FROM messages"); n != 1 {
				t.Errorf("%d rows, want 1", n)
			}
			if tt.want != "" {
				if !errors.Is(err, outbox.ErrKeyReused) {
					t.Errorf("error = %v, want ErrKeyReused", err)
				}
				return
			}
			want := first
			want.Replayed = true
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{first.ID.String(): 1}, b.queued(t)); diff != "" {
				t.Errorf("queued (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAKeyBelongsToItsInstance(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.addInstance(t, "support")
	m := hello("a")
	m.Instance, m.Text = "support", "Adiós"
	if first, second := b.send(t, hello("a")), b.send(t, m); first.ID == second.ID || second.Replayed {
		t.Errorf("receipts %+v and %+v, want two messages", first, second)
	}
}

// A caller that hears nothing asks again, however long that takes.
func TestAReplayIsAnsweredAfterItsTimesHavePassed(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	scheduled := hello("scheduled")
	scheduled.SendAt = time.Now().Add(5 * time.Second)
	expiring := hello("expiring")
	expiring.ExpiresAt = scheduled.SendAt
	first := map[string]outbox.Receipt{}
	for _, m := range []tasks.SendMessage{scheduled, expiring} {
		first[m.Key] = b.send(t, m)
	}
	<-time.After(time.Until(scheduled.SendAt.Add(10 * time.Millisecond)))
	for _, m := range []tasks.SendMessage{scheduled, expiring} {
		got, err := b.Send(t.Context(), m)
		if err != nil {
			t.Errorf("%s again: %v", m.Key, err)
		}
		if want := first[m.Key].ID; got.ID != want || !got.Replayed {
			t.Errorf("%s again: %+v, want a replay of %v", m.Key, got, want)
		}
		other := m
		other.Text = "Adiós"
		if _, err := b.Send(t.Context(), other); code(err) != "idempotency_key_reused" {
			t.Errorf("%s for another text: %v, want idempotency_key_reused", m.Key, err)
		}
		m.Key = "unseen"
		if _, err := b.Send(t.Context(), m); code(err) != "invalid_time" {
			t.Errorf("the same times with a new key: %v, want invalid_time", err)
		}
	}
}

func TestAHundredCallersWithOneKeySendOneMessage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	receipts := make([]outbox.Receipt, 100)
	errs := make([]error, len(receipts))
	var callers sync.WaitGroup
	for i := range receipts {
		callers.Go(func() { receipts[i], errs[i] = b.Send(t.Context(), hello("a")) })
	}
	callers.Wait()

	fresh := 0
	for i, r := range receipts {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if r.ID != receipts[0].ID || !r.CreatedAt.Equal(receipts[0].CreatedAt) {
			t.Errorf("receipt %d is %v, receipt 0 %v, want one", i, r, receipts[0])
		}
		if !r.Replayed {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d callers sent it first, want 1", fresh)
	}
	if n := b.count(t, "SELECT count(*) FROM messages"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	if diff := cmp.Diff(map[string]int{receipts[0].ID.String(): 1}, b.queued(t)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

func TestConcurrentMessagesAreAllStoredAndKeepTheOrderOfTheirChat(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const chats, each = 16, 12
	ids := make([][]uuid.UUID, chats)
	var callers sync.WaitGroup
	for c := range ids {
		callers.Go(func() {
			for n := range each { // each begins when the one before was answered
				priority := []string{"critical", "default", "bulk"}[(c+n)%3]
				r, err := b.Send(t.Context(), tasks.SendMessage{
					Instance: "sales", To: fmt.Sprintf("52155500%05d", c), Text: fmt.Sprint(n), Priority: priority,
				})
				if err != nil {
					t.Error(err)
					return
				}
				ids[c] = append(ids[c], r.ID)
			}
		})
	}
	callers.Wait()

	queued := b.queued(t)
	if want, got := chats*each, len(queued); got != want {
		t.Errorf("%d messages are queued, want %d", got, want)
	}
	for c, want := range ids {
		var got []uuid.UUID
		rows, err := b.pool.Query(t.Context(),
			"SELECT m.id FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.jid = $1 ORDER BY m.seq", fmt.Sprintf("52155500%05d@s.whatsapp.net", c))
		if err == nil {
			got, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order of chat %d (-want +got):\n%s", c, diff)
		}
	}
}

func TestAnUnknownInstanceLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.addInstance(t, "gone")
	if _, err := db.New(b.pool).DeleteInstance(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nobody", "gone", "Sales"} {
		m := hello("a")
		m.Instance = name
		_, err := b.Send(t.Context(), m)
		if code(err) != "unknown_instance" || !errors.Is(err, outbox.ErrUnknownInstance) {
			t.Errorf("%s: error = %v, want ErrUnknownInstance", name, err)
		}
	}
	if n := b.count(t, "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM chats)"); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
	if got := b.queued(t); len(got) != 0 {
		t.Errorf("queued = %v, want nothing", got)
	}
}

// What a caller can get wrong in a way that only PostgreSQL sees.
func TestABadMessageDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	bad := map[string]tasks.SendMessage{}
	for name, edit := range map[string]func(*tasks.SendMessage){
		"unknown_instance":       func(m *tasks.SendMessage) { m.Instance = "nobody" },
		"unknown_reply_to":       func(m *tasks.SendMessage) { m.ReplyTo = uuid.NewString() },
		"idempotency_key_reused": func(m *tasks.SendMessage) { m.Key = "taken" },
	} {
		m := hello(name)
		m.Text = "wrong"
		edit(&m)
		bad[name] = m
	}
	b.send(t, hello("taken"))
	before := b.count(t, "SELECT count(*) FROM messages")
	var callers sync.WaitGroup
	const good = 60
	for i := range good {
		callers.Go(func() {
			if _, err := b.Send(t.Context(), hello(fmt.Sprint("good", i))); err != nil {
				t.Errorf("a good message: %v", err)
			}
		})
		for want, m := range bad {
			callers.Go(func() {
				if _, err := b.Send(t.Context(), m); code(err) != want {
					t.Errorf("error = %v, want the code %s", err, want)
				}
			})
		}
	}
	callers.Wait()
	if want, got := before+good, b.count(t, "SELECT count(*) FROM messages"); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

func TestNewChatsAndKnownOnesAreAcceptedTogether(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.send(t, hello("known"))
	to := func(key, number string) tasks.SendMessage {
		m := hello(key)
		m.To = number
		return m
	}
	nobody := hello("nobody's")
	nobody.Instance = "nobody"
	batch := []tasks.SendMessage{
		to("a1", "+5215550000002"), hello("k1"), to("a2", "+5215550000002"), hello("known"), nobody, to("b1", "+5215550000003"), hello("k2"),
	}
	results, err := b.AcceptAll(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		switch key := batch[i].Key; {
		case key == "nobody's":
			if code(r.Err) != "unknown_instance" {
				t.Errorf("%s: error = %v", key, r.Err)
			}
		case r.Err != nil:
			t.Errorf("%s: %v", key, r.Err)
		case r.Receipt.Replayed != (key == "known"):
			t.Errorf("%s: replayed = %t", key, r.Receipt.Replayed)
		}
	}
	if results[3].Receipt.ID != first.ID {
		t.Error("the repeated message has another id")
	}
	var order string
	err = b.pool.QueryRow(t.Context(), "SELECT string_agg(idempotency_key, ' ' ORDER BY seq) FROM messages").Scan(&order)
	if want := "known a1 k1 a2 b1 k2"; err != nil || order != want {
		t.Errorf("stored %q, %v; want %q", order, err, want)
	}
	if n := b.count(t, "SELECT count(*) FROM chats"); n != 3 {
		t.Errorf("%d chats, want 3", n)
	}
}

func TestWhatAMessageMustNotSay(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.addInstance(t, "support")
	elsewhere := b.send(t, tasks.SendMessage{Instance: "sales", To: "+5215550000002", Text: "Hola"})
	other := b.send(t, tasks.SendMessage{Instance: "support", To: mexico, Text: "Hola"})
	now := time.Now()
	tests := []struct {
		name        string
		edit        func(*tasks.SendMessage)
		code, field string
		is          error
	}{
		{"sent in the past", func(m *tasks.SendMessage) { m.SendAt = now.Add(-time.Minute) }, "invalid_time", "send_at", tasks.ErrInvalid},
		{"sent in two years", func(m *tasks.SendMessage) { m.SendAt = now.AddDate(2, 0, 0) }, "invalid_time", "send_at", tasks.ErrInvalid},
		{"expired", func(m *tasks.SendMessage) { m.ExpiresAt = now.Add(-time.Minute) }, "invalid_time", "expires_at", tasks.ErrInvalid},
		{"no number", func(m *tasks.SendMessage) { m.To = "mother" }, "invalid_number", "to", tasks.ErrInvalid},
		{"answers a message of another chat", func(m *tasks.SendMessage) { m.ReplyTo = elsewhere.ID.String() }, "unknown_reply_to", "reply_to", outbox.ErrUnknownReply},
		{"answers a message of another instance", func(m *tasks.SendMessage) { m.ReplyTo = other.ID.String() }, "unknown_reply_to", "reply_to", outbox.ErrUnknownReply},
		{"answers nothing there is", func(m *tasks.SendMessage) { m.ReplyTo = uuid.NewString() }, "unknown_reply_to", "reply_to", outbox.ErrUnknownReply},
		{"answers what is no id", func(m *tasks.SendMessage) { m.ReplyTo = "\x00" }, "unknown_reply_to", "reply_to", outbox.ErrUnknownReply},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := hello("")
			tt.edit(&m)
			_, err := b.Send(t.Context(), m)
			if !errors.Is(err, tt.is) {
				t.Errorf("error = %v, want %v", err, tt.is)
			}
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Code != tt.code || f.Field != tt.field {
				t.Errorf("fault = %v %s of %s, want %s of %s", f.Kind, f.Code, f.Field, tt.code, tt.field)
			}
		})
	}
}

func TestAMessageCanAnswerOneOfItsChat(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.send(t, hello(""))
	m := hello("")
	m.To, m.ReplyTo = first.Chat, strings.ToUpper(first.ID.String())
	r := b.send(t, m)
	if n := b.count(t, "SELECT count(*) FROM messages WHERE id = $1 AND reply_to = $2", r.ID, first.ID); n != 1 {
		t.Error("the answer does not say what it answers")
	}
}

// jsonb and text refuse more than they seem to.
func TestWhatValidateLetsThroughPostgreSQLStores(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	nested := func(depth int) any {
		var v any = "x"
		for range depth {
			v = []any{v}
		}
		return v
	}
	tests := []struct {
		name string
		give map[string]any
	}{
		{"a backslash and zeros", map[string]any{"a": `\u0000`, `\\u0000`: 1}},
		{"broken UTF-8", map[string]any{"a\xff": "\xed\xa0\x80"}},
		{"thousands of levels", map[string]any{"a": nested(8_000)}},
		{"the largest float", map[string]any{"a": 1.7976931348623157e308, "b": 5e-324}},
		{"a number of raw JSON that is no float", map[string]any{"a": json.RawMessage("1e400000")}},
		{"half a surrogate pair of raw JSON", map[string]any{"a": json.RawMessage(`"\ud800"`)}},
		{"NUL of raw JSON", map[string]any{"a": json.RawMessage(`"\u0000"`)}},
		{"a name twice", map[string]any{"a": json.RawMessage(`{"x":1,"x":2}`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := hello("")
			m.Metadata = tt.give
			m.Text = strings.Repeat("'\\\u2028\U0010ffff", 10)
			_, err := b.Send(t.Context(), m)
			if err != nil && !errors.Is(err, tasks.ErrInvalid) {
				t.Errorf("error = %.300v, want none or ErrInvalid", err)
			}
		})
	}
}

func TestAScheduledMessageHasNoTaskYet(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	m := hello("a")
	m.SendAt = time.Now().Add(time.Hour).Round(time.Microsecond)
	r := b.send(t, m)
	if want, got := "scheduled", r.Status; got != want {
		t.Errorf("status = %q, want %q", got, want)
	}
	if n := b.count(t, "SELECT count(*) FROM messages WHERE id = $1 AND status = 'scheduled' AND send_at = $2 AND next_attempt_at = $2", r.ID, m.SendAt); n != 1 {
		t.Error("the row is not scheduled for that time")
	}
	if got := b.queued(t); len(got) != 0 {
		t.Errorf("queued = %v, want nothing", got)
	}
	if again := b.send(t, m); again.Status != "scheduled" || !again.Replayed {
		t.Errorf("again: %+v, want a replay that is scheduled", again)
	}
}

func TestWithoutRedisSendStillCommits(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: "127.0.0.1:1", DialTimeout: time.Second})
	defer client.Close()
	o := outbox.New(pool, client)
	heard := make(chan error, 10)
	o.OnUnqueued = func(err error) { heard <- err }
	b := box{Outbox: o, pool: pool}
	b.addInstance(t, "sales")

	r := b.send(t, hello("a"))

	if n := b.count(t, "SELECT count(*) FROM messages WHERE id = $1", r.ID); n != 1 {
		t.Error("the message is not stored")
	}
	if err := o.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-heard:
		if err == nil {
			t.Error("OnUnqueued heard of no error")
		}
	default:
		t.Error("OnUnqueued heard nothing")
	}
}

func TestWithoutPostgreSQLNothingIsAccepted(t *testing.T) {
	t.Parallel()
	pool := testenv.PoolOn(t, "postgres://msgorch@127.0.0.1:1/none?connect_timeout=1")
	o := outbox.New(pool, testenv.Client(t, testenv.Redis(t)))
	_, err := o.Send(t.Context(), hello("a"))
	if f := fault.Of(err); err == nil || f.Kind != fault.Unavailable || f.Code != "database_unavailable" || f.After <= 0 {
		t.Errorf("error = %v, want database_unavailable with a time to come back", err)
	}
}

func TestACallerWhoseContextEndsHearsOfIt(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Send(ctx, hello("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}
