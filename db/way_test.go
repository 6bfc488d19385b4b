package db_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/msgorch/msgorch/db"
)

// reported are the statuses that a gateway can report.
func reported() []db.MessageStatus {
	return []db.MessageStatus{
		db.MessageStatusAccepted, db.MessageStatusSent, db.MessageStatusDelivered,
		db.MessageStatusRead, db.MessageStatusPlayed, db.MessageStatusFailed,
	}
}

// anyProof draws one thing that a gateway may say.
func anyProof() *rapid.Generator[proof] {
	return rapid.Custom(func(t *rapid.T) proof {
		status := rapid.SampledFrom(reported()).Draw(t, "status")
		after := rapid.IntRange(0, 9).Draw(t, "second")
		return proof{string(status), time.Date(2026, 11, 1, 12, 0, after, 0, time.UTC)}
	})
}

// anyWay draws what may be known of a message.
func anyWay() *rapid.Generator[db.Way] {
	return rapid.Custom(func(t *rapid.T) db.Way {
		w := wayThrough(rapid.SliceOfN(anyProof(), 0, 5).Draw(t, "told"))
		if rapid.Bool().Draw(t, "given up") {
			w.GaveUp = time.Date(2026, 11, 1, 12, 0, 5, 0, time.UTC)
		}
		return w
	})
}

func wayThrough(told []proof) (w db.Way) {
	for _, p := range told {
		w = w.Join(db.Shown(db.MessageStatus(p.status), p.at))
	}
	return w
}

// rankOf orders statuses as evidence does. A failure is worth more than "sent",
// which does not take it back, and less than "delivered", which does.
func rankOf(s db.MessageStatus) int {
	for rank, status := range []db.MessageStatus{
		db.MessageStatusAccepted, db.MessageStatusSent, db.MessageStatusFailed,
		db.MessageStatusDelivered, db.MessageStatusRead, db.MessageStatusPlayed,
	} {
		if s == status {
			return rank
		}
	}
	return -1
}

func TestWaysJoinInAnyOrderGroupingAndNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyWay().Draw(t, "a"), anyWay().Draw(t, "b"), anyWay().Draw(t, "c")
		if a.Join(b) != b.Join(a) {
			t.Error("the order matters")
		}
		if a.Join(b).Join(c) != a.Join(b.Join(c)) {
			t.Error("the grouping matters")
		}
		if a.Join(a) != a || a.Join(b).Join(b) != a.Join(b) {
			t.Error("a repeat matters")
		}
		if a.Join(db.Way{}) != a {
			t.Error("knowing nothing matters")
		}
	})
}

func TestAnyOrderAndAnyRepeatsOfEvidenceEndTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		told := rapid.SliceOfN(anyProof(), 1, 8).Draw(t, "told")
		again := append(rapid.Permutation(told).Draw(t, "reordered"), rapid.SliceOf(rapid.SampledFrom(told)).Draw(t, "repeated")...)
		if diff := cmp.Diff(wayThrough(told), wayThrough(again)); diff != "" {
			t.Errorf("(-told +told again):\n%s", diff)
		}
	})
}

func TestEvidenceNeverTakesAStatusBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := wayThrough(rapid.SliceOf(anyProof()).Draw(t, "before"))
		p := anyProof().Draw(t, "told")
		after := w.Join(db.Shown(db.MessageStatus(p.status), p.at))
		if rankOf(after.Status()) < rankOf(w.Status()) {
			t.Errorf("%s after %s, when told %s", after.Status(), w.Status(), p.status)
		}
	})
}

func TestWhatWasDeliveredDidNotFail(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := anyWay().Draw(t, "before").Join(db.Shown(db.MessageStatusFailed, time.Now()))
		better := rapid.SampledFrom([]db.MessageStatus{db.MessageStatusDelivered, db.MessageStatusRead, db.MessageStatusPlayed}).Draw(t, "told")
		if s := w.Join(db.Shown(better, time.Now())).Status(); rankOf(s) < rankOf(better) {
			t.Errorf("%s, although it was %s", s, better)
		}
	})
}

func TestAnyEvidenceOverrulesThatWeGaveUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		gaveUp := db.Way{GaveUp: time.Now()}
		if s := gaveUp.Status(); s != db.MessageStatusFailed {
			t.Fatalf("given up is %s", s)
		}
		p := anyProof().Draw(t, "told")
		want := db.Shown(db.MessageStatus(p.status), p.at).Status()
		if s := gaveUp.Join(db.Shown(db.MessageStatus(p.status), p.at)).Status(); s != want {
			t.Errorf("%s, want %s", s, want)
		}
	})
}

// The statement and the function are two ways to write one rule. The row is told
// in pieces, before it knows its gateway id and after, and it may have been given
// up.
func TestTheStatementDoesWhatTheFunctionSays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	rapid.Check(t, func(rt *rapid.T) {
		told := rapid.SliceOfN(anyProof(), 0, 8).Draw(rt, "told")
		seed := rapid.Uint64().Draw(rt, "pieces")
		batches := pieces(rand.New(rand.NewPCG(seed, 0)), append(told, told[:len(told)/2]...))
		known := rapid.IntRange(0, len(batches)).Draw(rt, "known after")
		outcome := rapid.SampledFrom([]db.MessageStatus{db.MessageStatusAccepted, db.MessageStatusFailed}).Draw(rt, "outcome")

		gateway := uuid.NewString()
		id := l.sending(t)
		for i, b := range batches {
			if i == known {
				l.settle(t, l.q, id, outcome, gateway)
			}
			l.tell(t, gateway, b...)
		}
		if known == len(batches) {
			l.settle(t, l.q, id, outcome, gateway)
		}
		l.fold(t)

		m := l.message(t, id)
		want := wayThrough(told)
		for _, s := range steps(t, m) {
			switch {
			case s.Status == string(outcome) && outcome == db.MessageStatusAccepted:
				want = want.Join(db.Shown(db.MessageStatusAccepted, s.At))
			case s.Status == string(outcome) && len(told) == 0:
				want.GaveUp = *m.StoppedAt
			}
		}
		if diff := cmp.Diff(reference(want), wayOf(m)); diff != "" {
			rt.Fatalf("told as %v, %s after %d (-function +statement):\n%s", batches, outcome, known, diff)
		}
	})
}
