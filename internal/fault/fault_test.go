package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/internal/fault"
)

func TestOnlyWhatTheCallerMustChangeIsFinal(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]bool{
		fault.Internal: false, fault.Invalid: true, fault.Denied: true, fault.Forbidden: true, fault.NotFound: true,
		fault.Conflict: true, fault.Gone: true, fault.Throttled: false, fault.Unavailable: false, fault.Kind(99): false,
	}
	for kind, want := range want {
		if got := kind.Final(); got != want {
			t.Errorf("kind %d: Final = %v, want %v", kind, got, want)
		}
	}
}

func TestOfFindsTheClassification(t *testing.T) {
	t.Parallel()
	known := fault.New(fault.Conflict, "wrong_status", "It is sent already.")
	tests := []struct {
		name string
		give error
		want *fault.Error
	}{
		{"none", nil, nil},
		{"itself", known, known},
		{"wrapped", fmt.Errorf("cancel: %w", known), known},
		{"joined", errors.Join(io.EOF, known), known},
		{"nobody classified it", io.EOF, &fault.Error{Kind: fault.Internal, Code: "internal", Detail: "Something went wrong on our side.", Err: io.EOF}},
		{"the outermost counts", fault.New(fault.Unavailable, "a", "b").Because(known), fault.New(fault.Unavailable, "a", "b").Because(known)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(value(tt.want), value(fault.Of(tt.give)), cmpopts.EquateErrors()); diff != "" {
				t.Errorf("classification (-want +got):\n%s", diff)
			}
		})
	}
}

// value makes cmp look into a fault, which as an error it would only compare
// with errors.Is.
func value(f *fault.Error) fault.Error {
	if f == nil {
		return fault.Error{}
	}
	return *f
}

func TestAddingToAFaultLeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	first := fault.New(fault.Invalid, "code", "Detail.")
	all := first.At("to").RetryAfter(time.Second).Because(io.EOF)
	if diff := cmp.Diff(value(fault.New(fault.Invalid, "code", "Detail.")), value(first)); diff != "" {
		t.Errorf("the first changed (-want +got):\n%s", diff)
	}
	want := &fault.Error{Kind: fault.Invalid, Code: "code", Detail: "Detail.", Field: "to", After: time.Second, Err: io.EOF}
	if diff := cmp.Diff(value(want), value(all), cmpopts.EquateErrors()); diff != "" {
		t.Errorf("fault (-want +got):\n%s", diff)
	}
	if !errors.Is(all, io.EOF) {
		t.Error("the cause is not found")
	}
	if want, got := "code: Detail.: EOF", all.Error(); got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if want, got := "code: Detail.", first.Error(); got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
}

func TestBackoffGrowsWithinItsBounds(t *testing.T) {
	t.Parallel()
	const draws = 2000
	last := time.Duration(0)
	for n := -1; n <= 70; n++ {
		window := 5 * time.Minute
		if n <= 9 { // 2^9 s is past the cap
			window = min(time.Second<<max(n-1, 0), window)
		}
		var low, high, sum time.Duration = window, 0, 0
		for range draws {
			d := fault.Backoff(n)
			low, high, sum = min(low, d), max(high, d), sum+d
		}
		if low < window/20 || high >= window {
			t.Errorf("Backoff(%d) is %v to %v, want %v to %v", n, low, high, window/20, window)
		}
		// Full jitter: spread over the window, not around its end.
		if low > window/8 || high < window*7/8 {
			t.Errorf("Backoff(%d) is only %v to %v of %v", n, low, high, window)
		}
		mean := sum / draws
		if n >= 2 && n <= 9 && mean < last*3/2 {
			t.Errorf("Backoff(%d) is %v on average after %v, want it to grow", n, mean, last)
		}
		last = mean
	}
	for _, n := range []int{1 << 31, 1 << 62, -1 << 62} {
		if d := fault.Backoff(n); d <= 0 || d > 5*time.Minute {
			t.Errorf("Backoff(%d) = %v", n, d)
		}
	}
}
