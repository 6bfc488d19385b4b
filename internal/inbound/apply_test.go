package inbound

import (
	"testing"
	"time"
)

// Gateways give whole seconds.
func TestAMessageStandsWithinItsSecondWhereItWasReceived(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 11, 23, 12, 0, 10, 0, time.UTC)
	tests := []struct {
		name         string
		at, received time.Time
		want         time.Time
	}{
		{"received in its second", second, second.Add(400 * time.Millisecond), second.Add(400 * time.Millisecond)},
		{"received later: at the end of its second", second, second.Add(time.Minute), second.Add(time.Second - time.Microsecond)},
		{"our clock is behind", second, second.Add(-time.Second), second},
		{"no time given", time.Time{}, second, second},
		{"a time that cannot be", second.Add(time.Hour), second, second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := writtenAt(tt.at, tt.received); !got.Equal(tt.want) {
				t.Errorf("placed at %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMessagesOfDifferentSecondsNeverChangePlaces(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	delays := []time.Duration{0, time.Millisecond, 999 * time.Millisecond, time.Second, 3 * time.Second, time.Hour}
	for _, early := range delays {
		for _, late := range delays {
			first, second := writtenAt(base, base.Add(early)), writtenAt(base.Add(time.Second), base.Add(time.Second).Add(late))
			if !first.Before(second) {
				t.Errorf("received after %s and %s: %s does not stand before %s", early, late, first, second)
			}
		}
	}
}
