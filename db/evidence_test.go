package db_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proof is one thing that a gateway says of a message's way.
type proof struct {
	status string
	at     time.Time
}

// way is what a message's row says of its way.
type way struct {
	Status                                  string
	Accepted, Sent, Delivered, Read, Played *time.Time
	Stopped                                 *time.Time
	Settled, Leased                         bool
}

// reference is the row of a message that went this way.
func reference(w db.Way) way {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	out := way{
		Status: string(w.Status()), Accepted: at(w.Accepted), Sent: at(w.Sent), Delivered: at(w.Delivered), Read: at(w.Read), Played: at(w.Played),
		Settled: true,
	}
	if w.Status() == db.MessageStatusFailed {
		out.Stopped = at(w.Failed)
		if out.Stopped == nil {
			out.Stopped = at(w.GaveUp)
		}
	}
	return out
}

// lab makes messages, one for each round, and tells of them.
type lab struct {
	pool     *pgxpool.Pool
	q        *db.Queries
	instance int64
	chat     int64
}

func newLab(t *testing.T) lab {
	t.Helper()
	pool := testenv.Pool(t)
	l := lab{pool: pool, q: db.New(pool)}
	row, err := l.q.PutInstance(t.Context(), db.PutInstanceParams{Name: "sales", Gateway: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	l.instance = row.Instance.ID
	err = pool.QueryRow(t.Context(), "INSERT INTO chats (instance_id, jid, unread) VALUES ($1, '5215550000001@s.whatsapp.net', 3) RETURNING id", l.instance).Scan(&l.chat)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sending makes a message that a worker is handing to its gateway.
func (l lab) sending(t *testing.T) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	l.exec(t, `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, attempt, next_attempt_at, lease_until, created_at)
		VALUES ($1, $2, $3, 'outbound', 'sending', 'text', 'Hola', 1, now(), now() + interval '1 minute', now())`, id, l.instance, l.chat)
	return id
}

func (l lab) inbound(t *testing.T, gateway string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	l.exec(t, `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, gateway_message_id, created_at, settled_at)
		VALUES ($1, $2, $3, 'inbound', 'received', 'text', 'Hola', $4, now(), now())`, id, l.instance, l.chat, gateway)
	return id
}

func (l lab) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := l.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// settle records what came of the attempt; q may be in a transaction.
func (l lab) settle(t *testing.T, q *db.Queries, id uuid.UUID, status db.MessageStatus, gateway string) []db.SettleAttemptsRow {
	t.Helper()
	rows, err := q.SettleAttempts(t.Context(), db.SettleAttemptsParams{
		Ids: []uuid.UUID{id}, Attempts: []int32{1}, Statuses: []string{string(status)}, GatewayMessageIds: []string{gateway},
		Refunds: []int32{0}, Waits: []int64{0}, Outcomes: []string{"accepted"}, Codes: []string{""}, Reasons: []string{""},
		HttpStatuses: []int32{201}, StartedAts: []time.Time{time.Now()}, Durations: []int32{5},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (l lab) tell(t *testing.T, gateway string, told ...proof) {
	t.Helper()
	var p db.ApplyEvidenceParams
	for _, e := range told {
		p.InstanceIds = append(p.InstanceIds, l.instance)
		p.GatewayMessageIds = append(p.GatewayMessageIds, gateway)
		p.Statuses = append(p.Statuses, e.status)
		p.Ats = append(p.Ats, e.at)
		p.Reasons = append(p.Reasons, "")
	}
	if _, err := l.q.ApplyEvidence(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func (l lab) fold(t *testing.T) int {
	t.Helper()
	n, err := db.FoldEarly(t.Context(), l.pool, time.Time{}, 100)
	if err != nil {
		t.Error(err)
	}
	return n
}

func (l lab) message(t *testing.T, id uuid.UUID) db.Message {
	t.Helper()
	return testenv.Message(t, l.pool, id)
}

func wayOf(m db.Message) way {
	return way{
		Status: string(m.Status), Accepted: m.AcceptedAt, Sent: m.SentAt, Delivered: m.DeliveredAt, Read: m.ReadAt, Played: m.PlayedAt,
		Stopped: m.StoppedAt, Settled: m.SettledAt != nil, Leased: m.LeaseUntil != nil,
	}
}

// randomProofs draws what a gateway might say, with repeats.
func randomProofs(r *rand.Rand) []proof {
	base := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	told := make([]proof, r.IntN(7))
	for i := range told {
		if i > 0 && r.IntN(4) == 0 {
			told[i] = told[r.IntN(i)]
			continue
		}
		status := []string{"accepted", "sent", "delivered", "read", "played", "failed", "failed"}[r.IntN(7)]
		told[i] = proof{status, base.Add(time.Duration(r.IntN(10)) * time.Second)}
	}
	return told
}

// pieces cuts told, in another order, into what arrives together.
func pieces(r *rand.Rand, told []proof) (batches [][]proof) {
	told = slices.Clone(told)
	r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
	for len(told) > 0 {
		n := 1 + r.IntN(len(told))
		batches = append(batches, told[:n])
		told = told[n:]
	}
	return batches
}

const rounds = 150

// Whatever comes first, together, twice or before the row knows its gateway id:
// the row ends as the evidence as a whole says.
func TestAnyOrderOfEvidenceEndsInTheSameRow(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t)
	for round := range rounds {
		told := randomProofs(r)
		for variant := range 3 {
			gateway := fmt.Sprintf("GW%d-%d", round, variant)
			id := l.sending(t)
			batches := pieces(r, told)
			known := r.IntN(len(batches) + 1) // when the gateway's answer is recorded
			for i, b := range batches {
				if i == known {
					l.settle(t, l.q, id, db.MessageStatusAccepted, gateway)
				}
				l.tell(t, gateway, b...)
				if r.IntN(2) == 0 {
					l.fold(t)
				}
			}
			if known == len(batches) {
				l.settle(t, l.q, id, db.MessageStatusAccepted, gateway)
			}
			l.fold(t)

			m := l.message(t, id)
			base := acceptedBySettling(t, m)
			if diff := cmp.Diff(reference(accepted(base, told)), wayOf(m)); diff != "" {
				t.Fatalf("round %d: %v told as %v, known at %d (-want +got):\n%s", round, told, batches, known, diff)
			}
			checkHistory(t, m, told)
		}
	}
}

type step struct {
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

func steps(t *testing.T, m db.Message) []step {
	t.Helper()
	var list []step
	if err := json.Unmarshal(m.History, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// acceptedBySettling returns when the gateway's answer was recorded: evidence
// may say that it took the message before.
func acceptedBySettling(t *testing.T, m db.Message) time.Time {
	t.Helper()
	for _, s := range steps(t, m) {
		if s.Status == "accepted" {
			return s.At
		}
	}
	t.Fatal("the history does not say when the message was accepted")
	return time.Time{}
}

// accepted is the way of a message that was accepted, and of which this was told.
func accepted(at time.Time, told []proof) db.Way {
	return wayThrough(told).Join(db.Shown(db.MessageStatusAccepted, at))
}

// checkHistory checks that the history tells of each status once.
func checkHistory(t *testing.T, m db.Message, told []proof) {
	t.Helper()
	want, got := map[string]int{"accepted": 1}, map[string]int{}
	for _, p := range told {
		want[p.status] = 1
	}
	for _, s := range steps(t, m) {
		got[s.Status]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("history of %v (-want +got):\n%s", told, diff)
	}
}

func TestEvidenceToldByManyAtOnceEndsInTheSameRow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	l := newLab(t)
	for round := range 40 {
		told := randomProofs(r)
		gateway := fmt.Sprint("GW", round)
		id := l.sending(t)
		var gateways sync.WaitGroup
		for _, b := range append(pieces(r, told), pieces(r, told)...) { // everything twice
			gateways.Go(func() { l.tell(t, gateway, b...) })
		}
		gateways.Go(func() { l.settle(t, l.q, id, db.MessageStatusAccepted, gateway) })
		gateways.Go(func() { l.fold(t) })
		gateways.Wait()
		l.fold(t) // as the relay does every second

		m := l.message(t, id)
		base := acceptedBySettling(t, m)
		if diff := cmp.Diff(reference(accepted(base, told)), wayOf(m)); diff != "" {
			t.Fatalf("round %d: %v (-want +got):\n%s", round, told, diff)
		}
	}
}

func TestAStatusNeverGoesBack(t *testing.T) {
	t.Parallel()
	rank := map[string]int{"accepted": 2, "failed": 3, "sent": 3, "delivered": 4, "read": 5, "played": 6}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	l := newLab(t)
	for round := range 40 {
		gateway := fmt.Sprint("GW", round)
		id := l.sending(t)
		l.settle(t, l.q, id, db.MessageStatusAccepted, gateway)
		last := "accepted"
		for _, p := range append(randomProofs(r), randomProofs(r)...) {
			l.tell(t, gateway, p)
			now := string(l.message(t, id).Status)
			if rank[now] < rank[last] || last == "failed" && now == "sent" {
				t.Fatalf("round %d: %s after %s, when told %s", round, now, last, p.status)
			}
			last = now
		}
	}
}

func TestOurOwnJudgementIsOverruled(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	l := newLab(t)
	for round := range rounds {
		told := randomProofs(r)
		gateway := fmt.Sprint("GW", round)
		id := l.sending(t)
		l.settle(t, l.q, id, db.MessageStatusFailed, gateway)
		stopped := l.message(t, id).StoppedAt
		if stopped == nil {
			t.Fatal("a failed message does not say since when")
		}
		batches := pieces(r, told)
		for _, b := range batches {
			l.tell(t, gateway, b...)
		}
		m := l.message(t, id)
		if diff := cmp.Diff(reference(wayThrough(told).Join(db.Way{GaveUp: *stopped})), wayOf(m)); diff != "" {
			t.Fatalf("round %d: %v told as %v (-want +got):\n%s", round, told, batches, diff)
		}
		if failed := m.Status == db.MessageStatusFailed; failed != (m.ErrorCode != nil) && len(told) > 0 {
			t.Fatalf("round %d: status %s with the error %v", round, m.Status, m.ErrorCode)
		}
	}
}

func TestAFailureThatWasDeliveredAfterAllIsDelivered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	id := l.sending(t)
	l.settle(t, l.q, id, db.MessageStatusAccepted, "GW")
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	l.tell(t, "GW", proof{"failed", at})
	if m := l.message(t, id); m.Status != db.MessageStatusFailed || m.ErrorCode == nil || m.StoppedAt == nil {
		t.Fatalf("after a failure: %s, %v, %v", m.Status, m.ErrorCode, m.StoppedAt)
	}
	l.tell(t, "GW", proof{"delivered", at.Add(time.Second)})
	if m := l.message(t, id); m.Status != db.MessageStatusDelivered || m.ErrorCode != nil || m.ErrorText != nil || m.StoppedAt != nil {
		t.Errorf("after it was delivered: %s, %v, %v, %v, want delivered without an error", m.Status, m.ErrorCode, m.ErrorText, m.StoppedAt)
	}
	for range 3 { // the gateway insists
		l.tell(t, "GW", proof{"failed", at})
	}
	m := l.message(t, id)
	if m.Status != db.MessageStatusDelivered {
		t.Errorf("status = %s, want delivered", m.Status)
	}
	failures := 0
	for _, s := range steps(t, m) {
		if s.Status == "failed" {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("the history tells of %d failures, want 1", failures)
	}
}

// Both ways in which evidence and a gateway's answer can cross.
func TestEvidenceThatComesBeforeItsRowIsFolded(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	t.Run("told before the answer is recorded", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		id := l.sending(t)
		l.tell(t, "GW", proof{"read", at})
		l.tell(t, "GW", proof{"read", at.Add(-time.Minute)}, proof{"delivered", at.Add(time.Minute)})
		if l.fold(t) != 0 {
			t.Error("evidence without a row was folded")
		}
		rows := l.settle(t, l.q, id, db.MessageStatusAccepted, "GW")
		if len(rows) != 1 || !rows[0].HasEarly {
			t.Errorf("settling answers %+v, want that evidence waits", rows)
		}
		if n := l.fold(t); n != 1 {
			t.Errorf("folded into %d rows, want 1", n)
		}
		m := l.message(t, id)
		if m.Status != db.MessageStatusRead || !m.ReadAt.Equal(at.Add(-time.Minute)) {
			t.Errorf("%s at %v, want read at the earlier time", m.Status, m.ReadAt)
		}
		checkNoEarly(t, l)
	})
	t.Run("told while the answer is being recorded", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		id := l.sending(t)
		err := db.InTx(t.Context(), l.pool, func(q *db.Queries) error {
			if rows := l.settle(t, q, id, db.MessageStatusAccepted, "GW"); len(rows) != 1 || rows[0].HasEarly {
				t.Errorf("settling answers %+v, want that nothing waits", rows)
			}
			l.tell(t, "GW", proof{"delivered", at}) // outside of the transaction
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if m := l.message(t, id); m.Status != db.MessageStatusAccepted {
			t.Fatalf("status = %s: this test does not see the race", m.Status)
		}
		l.fold(t)
		if m := l.message(t, id); m.Status != db.MessageStatusDelivered {
			t.Errorf("status = %s, want delivered", m.Status)
		}
		checkNoEarly(t, l)
	})
}

func checkNoEarly(t *testing.T, l lab) {
	t.Helper()
	n := 0
	if err := l.pool.QueryRow(t.Context(), "SELECT count(*) FROM early_evidence").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d pieces of evidence are left, %v, want 0", n, err)
	}
}

func TestInboundMessagesOnlyLearnThatWeReadThem(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		told   []proof
		read   *time.Time
		unread int32
	}{
		{"failed", []proof{{"failed", at}}, nil, 3},
		{"delivered", []proof{{"sent", at}, {"delivered", at}}, nil, 3},
		{"read", []proof{{"read", at}}, &at, 0},
		{"played", []proof{{"played", at.Add(time.Second)}, {"read", at}}, &at, 0},
		{"read and failed", []proof{{"failed", at}, {"read", at}, {"failed", at}}, &at, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			id := l.inbound(t, "GW")
			before := l.message(t, id)
			for _, p := range tt.told {
				l.tell(t, "GW", p)
			}
			got := l.message(t, id)
			want := before
			want.ReadAt, want.PlayedAt = tt.read, got.PlayedAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			var unread int32
			if err := l.pool.QueryRow(t.Context(), "SELECT unread FROM chats WHERE id = $1", l.chat).Scan(&unread); err != nil || unread != tt.unread {
				t.Errorf("unread = %d, %v, want %d", unread, err, tt.unread)
			}
		})
	}
}

// The attempt is the fencing value: who lost the lease cannot record anything.
func TestOnlyWhoHoldsTheLeaseCanSettle(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	id := l.sending(t)
	l.exec(t, "UPDATE messages SET attempt = 2 WHERE id = $1", id) // another worker claimed it
	before := l.message(t, id)
	if rows := l.settle(t, l.q, id, db.MessageStatusAccepted, "GW"); len(rows) != 0 {
		t.Errorf("settled %+v, want nothing", rows)
	}
	if diff := cmp.Diff(before, l.message(t, id)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	detail, err := l.q.MessageDetail(t.Context(), id)
	if err != nil || string(detail.Attempts) != "[]" {
		t.Errorf("attempts = %s, %v, want none", detail.Attempts, err)
	}
}

func TestOrphanedEvidenceIsForgottenAfterAWeek(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	l.tell(t, "old", proof{"read", at})
	l.tell(t, "new", proof{"read", at})
	l.exec(t, "UPDATE early_evidence SET received_at = now() - interval '8 days' WHERE gateway_message_id = 'old'")
	week := time.Now().AddDate(0, 0, -7)
	if n, err := l.q.PurgeEvidence(t.Context(), db.PurgeEvidenceParams{Before: week, MaxRows: 500}); n != 1 || err != nil {
		t.Errorf("forgot %d, %v, want 1", n, err)
	}
}
