package inbound_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/inbound"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

// archive is a gateway that remembers what people wrote, and whose events are
// their messages as JSON.
type archive struct {
	mu        sync.Mutex
	messages  []gateway.Message
	page      int
	away      bool
	asked     int
	meanwhile func() // runs while it is asked
}

func (a *archive) Records(_ context.Context, at gateway.Account, s gateway.Span) (gateway.RecordPage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.meanwhile != nil {
		a.meanwhile()
	}
	if a.away {
		return gateway.RecordPage{}, errors.New("away")
	}
	var matching []gateway.Message
	for _, m := range a.messages {
		if !m.At.Before(s.From) && !m.At.After(s.To) {
			matching = append(matching, m)
		}
	}
	p := gateway.RecordPage{Pages: (len(matching) + a.page - 1) / a.page}
	for _, m := range matching[min(len(matching), (s.Page-1)*a.page):min(len(matching), s.Page*a.page)] {
		m.History = m.At.Before(s.OldBefore)
		body, err := json.Marshal(m)
		if err != nil {
			return p, err
		}
		event := gateway.EventFound
		if m.History {
			event = "old"
		}
		p.Records = append(p.Records, gateway.Record{
			ID: m.ID, At: m.At, Old: m.History, Message: gateway.Envelope{Event: event, Instance: at.Instance, Body: body},
		})
	}
	return p, nil
}

// Recorder implements inbound.Recorders.
func (a *archive) Recorder(i db.Instance) (gateway.Historian, gateway.Account, error) {
	return a, gateway.Account{Instance: i.Name}, nil
}

// Open implements gateway.Decoder.
func (*archive) Open([]byte) (gateway.Envelope, error) {
	return gateway.Envelope{}, errors.New("unused")
}

// Decode implements gateway.Decoder.
func (*archive) Decode(_ string, body []byte) (gateway.Update, error) {
	var m gateway.Message
	err := json.Unmarshal(body, &m)
	return gateway.Update{Handled: true, Messages: []gateway.Message{m}}, err
}

// office has an instance that has been connected for a week.
type office struct {
	pool *pgxpool.Pool
	in   *inbound.Service
	r    *inbound.Reconciler
}

func newOffice(t *testing.T, a *archive) office {
	t.Helper()
	pool := testenv.Pool(t)
	if _, err := pool.Exec(t.Context(), "INSERT INTO instances (name, gateway, created_at) VALUES ('sales', 'sandbox', now() - interval '7 days')"); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	in := inbound.New(inbound.Config{
		Pool: pool, Client: testenv.Client(t, testenv.Redis(t)), Decoders: map[string]gateway.Decoder{"sandbox": a}, Log: log,
	})
	t.Cleanup(func() { _ = in.Close(context.WithoutCancel(t.Context())) })
	return office{pool: pool, in: in, r: &inbound.Reconciler{
		In: in, Recorders: a, Log: log, Every: time.Hour, Grace: time.Minute, Depth: 24 * time.Hour,
	}}
}

// compare runs one comparison, and applies what it found.
func (o office) compare(t *testing.T) {
	t.Helper()
	if err := o.r.Reconcile(t.Context(), tasks.ReconcileInstance{Instance: "sales"}); err != nil {
		t.Fatal(err)
	}
	for {
		var id string
		if o.pool.QueryRow(t.Context(), "SELECT id::text FROM gateway_events WHERE state = 'pending' LIMIT 1").Scan(&id) != nil {
			return
		}
		if err := o.in.Apply(t.Context(), tasks.GatewayEvent{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
}

func (o office) instance(t *testing.T) db.Instance {
	t.Helper()
	i, err := db.New(o.pool).InstanceByName(t.Context(), "sales")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// said lists what stands in a chat, in its order.
func (o office) said(t *testing.T, chat string) (texts []string) {
	t.Helper()
	rows, err := o.pool.Query(t.Context(), "SELECT m.text FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.jid = $1 ORDER BY m.created_at, m.seq", chat)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

// said by somebody, so long ago.
func said(n int, ago time.Duration) gateway.Message {
	chat := fmt.Sprintf("521555000000%d@s.whatsapp.net", n%3)
	return gateway.Message{ID: fmt.Sprint("GW", n), Chat: chat, Type: gateway.TypeText, Text: fmt.Sprint(n), At: time.Now().Add(-ago).Truncate(time.Second)}
}

func TestALongSilenceIsReadInStepsWhateverTheOrderOfThePages(t *testing.T) {
	t.Parallel()
	a := &archive{page: 7}
	want := map[string][]string{}
	const messages = 400
	for n := range messages {
		m := said(n, time.Duration(messages-n)*time.Minute+2*time.Minute)
		a.messages = append(a.messages, m)
		want[m.Chat] = append(want[m.Chat], m.Text)
	}
	rand.Shuffle(messages, func(i, j int) { a.messages[i], a.messages[j] = a.messages[j], a.messages[i] })
	o := newOffice(t, a)
	for runs := 0; ; runs++ { // each has a budget
		before := o.instance(t).ReconciledTo
		o.compare(t)
		after := o.instance(t)
		if after.ReconcileUntil != nil || after.ReconcileAt != nil || after.ReconciledTo == nil {
			t.Fatalf("after a run: until %v, at %v, to %v", after.ReconcileUntil, after.ReconcileAt, after.ReconciledTo)
		}
		if before != nil && after.ReconciledTo.Before(*before) {
			t.Fatalf("compared to %v, and before that to %v", after.ReconciledTo, before)
		}
		if after.Gaps == messages {
			break
		}
		if runs > 100 {
			t.Fatalf("after %d runs there are %d of %d", runs, after.Gaps, messages)
		}
	}
	for chat, texts := range want {
		if diff := cmp.Diff(texts, o.said(t, chat)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", chat, diff)
		}
	}
	o.compare(t)
	if gaps := o.instance(t).Gaps; gaps != messages {
		t.Errorf("after another run there are %d gaps, want %d", gaps, messages)
	}
}

func TestMessagesOfOneSecondKeepTheOrderOfTheGateway(t *testing.T) {
	t.Parallel()
	for _, newest := range []bool{false, true} {
		t.Run(fmt.Sprint("newest first ", newest), func(t *testing.T) {
			t.Parallel()
			a := &archive{page: 100}
			for n := range 10 {
				m := said(0, time.Hour)
				m.ID, m.Text, m.At = fmt.Sprint("GW", n), fmt.Sprint(n), m.At.Add(time.Duration(n/5)*time.Second)
				a.messages = append(a.messages, m)
			}
			if newest {
				slices.Reverse(a.messages)
			}
			o := newOffice(t, a)
			o.r.Recorders = sorted{a, newest}
			o.compare(t)
			if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, o.said(t, a.messages[0].Chat)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// sorted is an archive that says which messages come first.
type sorted struct {
	*archive
	newest bool
}

// Recorder implements inbound.Recorders.
func (s sorted) Recorder(i db.Instance) (gateway.Historian, gateway.Account, error) {
	return s, gateway.Account{Instance: i.Name}, nil
}

func (s sorted) Records(ctx context.Context, at gateway.Account, span gateway.Span) (gateway.RecordPage, error) {
	p, err := s.archive.Records(ctx, at, span)
	p.Newest = s.newest
	return p, err
}

func TestWhatMayStillComeByWebhookIsLeft(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, messages: []gateway.Message{said(1, 2*time.Hour), said(2, 0)}}
	o := newOffice(t, a)
	o.r.Grace = time.Hour // far longer than this test takes
	o.compare(t)
	if i := o.instance(t); i.Gaps != 1 || i.LastGapAt == nil {
		t.Errorf("%d gaps, the last %v, want 1", i.Gaps, i.LastGapAt)
	}
}

func TestWhatAWebhookTellsMeanwhileIsNoGap(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, messages: []gateway.Message{said(1, time.Hour)}}
	o := newOffice(t, a)
	body, err := json.Marshal(a.messages[0])
	if err != nil {
		t.Fatal(err)
	}
	a.meanwhile = func() { // it is stored, and not applied yet
		a.meanwhile = nil
		if _, err := o.in.Accept(t.Context(), o.instance(t), gateway.Envelope{Event: "webhook", Body: append(body, '\n')}); err != nil {
			t.Error(err)
		}
	}
	o.compare(t)
	if got := o.said(t, a.messages[0].Chat); len(got) != 1 {
		t.Errorf("the chat has %v, want one message", got)
	}
	if gaps := o.instance(t).Gaps; gaps != 0 {
		t.Errorf("%d gaps, want none", gaps)
	}
}

func TestWhatIsTooOldMakesNothingUnread(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, messages: []gateway.Message{said(3, 30*time.Hour), said(0, 20*time.Hour)}}
	o := newOffice(t, a)
	if _, err := o.pool.Exec(t.Context(), "UPDATE instances SET reconciled_to = now() - interval '2 days'"); err != nil {
		t.Fatal(err)
	}
	o.compare(t)
	var unread int
	if err := o.pool.QueryRow(t.Context(), "SELECT unread FROM chats").Scan(&unread); err != nil || unread != 1 {
		t.Errorf("unread = %d, %v, want 1: one is from before RECONCILE_DEPTH", unread, err)
	}
	if got := o.said(t, a.messages[0].Chat); len(got) != 2 {
		t.Errorf("the chat has %v, want both", got)
	}
}

func TestAGatewayThatIsAwayIsLeftForAnotherTime(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, away: true}
	o := newOffice(t, a)
	o.compare(t)
	i := o.instance(t)
	if i.ReconciledTo != nil || i.ReconcileUntil != nil || i.ReconcileAt == nil || !i.ReconcileAt.After(time.Now()) {
		t.Errorf("to %v, until %v, again %v", i.ReconciledTo, i.ReconcileUntil, i.ReconcileAt)
	}
	names, err := db.New(o.pool).DueReconciles(t.Context(), db.DueReconcilesParams{Every: time.Hour, MaxRows: 10})
	if err != nil || len(names) != 0 {
		t.Errorf("due are %v, %v, want none", names, err)
	}
}

func TestTwoRunsNeverHaveTheSameInstance(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, messages: []gateway.Message{said(1, time.Hour)}}
	o := newOffice(t, a)
	a.meanwhile = func() {
		a.meanwhile = nil
		if _, err := db.New(o.pool).ClaimReconcile(t.Context(), db.ClaimReconcileParams{Name: "sales", Lease: time.Hour}); err == nil {
			t.Error("a second run has the instance")
		}
	}
	o.compare(t)
	if _, err := o.pool.Exec(t.Context(), "UPDATE instances SET reconcile_until = now() + interval '1 hour'"); err != nil {
		t.Fatal(err)
	}
	asked := a.asked
	o.compare(t)
	if a.asked != asked {
		t.Error("the gateway was asked although another run has the instance")
	}
}

func TestARunThatLostItsLeaseWritesNothingDown(t *testing.T) {
	t.Parallel()
	a := &archive{page: 100, messages: []gateway.Message{said(1, time.Hour)}}
	o := newOffice(t, a)
	a.meanwhile = func() { // it stood still, and another run began
		_, _ = o.pool.Exec(t.Context(), "UPDATE instances SET reconcile_run = reconcile_run + 1, reconcile_until = now() + interval '1 hour'")
	}
	o.compare(t)
	if i := o.instance(t); i.ReconciledTo != nil || i.ReconcileUntil == nil {
		t.Errorf("compared to %v, until %v, want the other run's", i.ReconciledTo, i.ReconcileUntil)
	}
}

func TestAnInstanceIsDueWhenItsSessionHasOpened(t *testing.T) {
	t.Parallel()
	o := newOffice(t, &archive{page: 100})
	q := db.New(o.pool)
	due := func() int {
		t.Helper()
		names, err := q.DueReconciles(t.Context(), db.DueReconcilesParams{Every: time.Hour, Grace: time.Minute, MaxRows: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	set := func(sql string) {
		t.Helper()
		if _, err := o.pool.Exec(t.Context(), "UPDATE instances SET "+sql); err != nil {
			t.Fatal(err)
		}
	}
	set("reconciled_to = now() - interval '10 minutes'")
	if due() != 0 {
		t.Error("due, although it was compared ten minutes ago")
	}
	if err := q.SetConnection(t.Context(), db.SetConnectionParams{ID: o.instance(t).ID, Connection: "open"}); err != nil {
		t.Fatal(err)
	}
	if due() != 0 {
		t.Error("due at once, although webhooks may be on their way")
	}
	set("opened_at = now() - interval '2 minutes'")
	if due() != 1 {
		t.Error("not due, although its session has opened")
	}
	set("reconcile_at = NULL, reconciled_to = now() - interval '1 minute'")
	if due() != 0 {
		t.Error("due again, although it was compared since")
	}
	set("reconciled_to = now() - interval '2 hours'")
	if due() != 1 {
		t.Error("not due after an hour")
	}
	set("reconcile_at = NULL, gateway = 'cloud'")
	if due() != 0 {
		t.Error("due, although its gateway keeps no records")
	}
}
