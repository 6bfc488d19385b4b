package wire

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

// Number reads a whole number that is a JSON number or a decimal string.
// Fractions are cut off.
func Number(raw json.RawMessage) (n int64, ok bool) {
	digits := string(raw)
	if text, isText := Text(raw); isText {
		digits = text
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

// Time returns the moment that n gives in seconds, milliseconds or
// microseconds, to the second. It returns the zero time for what cannot be a
// message's date.
func Time(n int64) time.Time {
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
