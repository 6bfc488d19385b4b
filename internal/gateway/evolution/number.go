package evolution

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Timestamps outside these years are a mistake, not a date: WhatsApp began in
// 2009. The end is fixed so that decoding does not depend on a clock.
const (
	earliest = 1230768000 // 2009-01-01, in seconds
	latest   = 4102444800 // 2100-01-01, in seconds
)

// numberOf reads a whole number in any form the gateway has used for one: a
// JSON number, a decimal string, or a long.js object. Fractions are cut off.
func numberOf(raw json.RawMessage) (int64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	if raw[0] == '{' {
		return longOf(objectOf(raw))
	}
	digits := string(raw)
	if raw[0] == '"' {
		digits, _ = textOf(raw)
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(f), true
}

// longOf reads {low, high, unsigned}. Both halves are signed 32-bit numbers, so
// low is negative whenever its top bit is set.
func longOf(long object) (int64, bool) {
	low, okLow := halfOf(long.get("low"))
	high, okHigh := halfOf(long.get("high"))
	return high<<32 + low&math.MaxUint32, okLow && okHigh
}

// halfOf reads one half of a long. It does not accept another long inside, so
// that hostile nesting ends here.
func halfOf(raw json.RawMessage) (int64, bool) {
	if len(raw) == 0 || raw[0] == '{' {
		return 0, false
	}
	return numberOf(raw)
}

// timeOf reads a moment given in seconds, milliseconds or microseconds. It
// returns the zero time for what cannot be a message's date.
func timeOf(raw json.RawMessage) time.Time {
	n, ok := numberOf(raw)
	if !ok {
		return time.Time{}
	}
	const tooLargeForSeconds = 100_000_000_000 // the year 5138
	for range 2 {
		if n >= tooLargeForSeconds {
			n /= 1000
		}
	}
	if n < earliest || n >= latest {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
