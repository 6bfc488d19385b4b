package outbound

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
)

func TestEachOutcomeHasItsNextStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		attempt int32 // of 12
		answer  gateway.Answer
		status  db.MessageStatus
		refund  bool
		least   time.Duration // the wait is not shorter
	}{
		{"accepted", 1, gateway.Answer{Outcome: gateway.Accepted, MessageID: "A"}, db.MessageStatusAccepted, false, 0},
		{"refused for good", 1, gateway.Answer{Outcome: gateway.Permanent}, db.MessageStatusFailed, false, 0},
		{"refused for now", 1, gateway.Answer{Outcome: gateway.Retry}, db.MessageStatusQueued, false, 50 * time.Millisecond},
		{"refused for now, the eleventh time", 11, gateway.Answer{Outcome: gateway.Retry}, db.MessageStatusQueued, false, 10 * time.Second},
		{"refused for now, the twelfth time", 12, gateway.Answer{Outcome: gateway.Retry}, db.MessageStatusFailed, false, 0},
		{"asked to wait", 1, gateway.Answer{Outcome: gateway.Retry, RetryAfter: time.Minute}, db.MessageStatusQueued, false, time.Minute},
		{"the instance's matter, the twelfth time", 12, gateway.Answer{Outcome: gateway.Retry, Scope: gateway.ScopeInstance}, db.MessageStatusQueued, true, 0},
		{"too much between two numbers, the twelfth time", 12, gateway.Answer{Outcome: gateway.Retry, Scope: gateway.ScopeChat, RetryAfter: 6 * time.Second}, db.MessageStatusQueued, true, 6 * time.Second},
		{"nothing of the instance can be sent", 12, gateway.Answer{Outcome: gateway.Pause}, db.MessageStatusQueued, true, 0},
		{"nobody knows", 12, gateway.Answer{Outcome: gateway.InDoubt}, db.MessageStatusUnknown, false, firstAsk},
		{"an answer nobody classified", 1, gateway.Answer{}, db.MessageStatusUnknown, false, firstAsk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := settle(head{Attempt: tt.attempt, MaxAttempts: 12}, tt.answer)
			if got.status != tt.status || got.refund != tt.refund || got.wait < tt.least {
				t.Errorf("settled as %s, refund %v, after %s; want %s, %v, at least %s", got.status, got.refund, got.wait, tt.status, tt.refund, tt.least)
			}
		})
	}
}

func TestADoubtIsAskedAboutAgainAsSoonAsTheAnswerCanBeCertain(t *testing.T) {
	t.Parallel()
	for age := time.Duration(0); age < certainAfter; age += 100 * time.Millisecond {
		if next := age + nextAsk(age); next > certainAfter && age+askEvery <= certainAfter {
			t.Errorf("asked at %s, then only at %s", age, next)
		}
	}
	if got := nextAsk(time.Hour); got > 20*time.Second {
		t.Errorf("an old doubt waits %s", got)
	}
}

func TestWhatIsToBeSentAgainAndHadAllItsAttemptsHasFailed(t *testing.T) {
	t.Parallel()
	if st := resend(head{Attempt: 11, MaxAttempts: 12}, "c", "r"); st.status != db.MessageStatusQueued || !st.unsent {
		t.Errorf("the eleventh: %s", st.status)
	}
	if st := resend(head{Attempt: 12, MaxAttempts: 12}, "c", "r"); st.status != db.MessageStatusFailed {
		t.Errorf("the twelfth: %s", st.status)
	}
}

// A process that stood still must not send what somebody else may have taken.
func TestALeaseIsBelievedInForLessTimeThanItLasts(t *testing.T) {
	t.Parallel()
	l := leases{held: map[uuid.UUID]lease{}}
	id := uuid.New()
	if l.valid(id) {
		t.Error("a lease that nobody took is valid")
	}
	l.hold(id, 1, time.Now())
	if !l.valid(id) {
		t.Error("a new lease is not valid")
	}
	l.hold(id, 1, time.Now().Add(-LeaseTime+leaseMargin/2))
	if l.valid(id) {
		t.Error("a lease that ends in a moment is valid")
	}
	l.renew([]uuid.UUID{id}, time.Now())
	if !l.valid(id) {
		t.Error("a renewed lease is not valid")
	}
	l.drop(id)
	if l.renew([]uuid.UUID{id}, time.Now()); l.valid(id) {
		t.Error("a lease that was given up is valid")
	}
}
