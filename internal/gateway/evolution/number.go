package evolution

import (
	"encoding/json"
	"math"
	"time"

	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// numberOf reads a whole number in any form the gateway has used for one: a
// JSON number, a decimal string, or a long.js object. Fractions are cut off.
func numberOf(raw json.RawMessage) (int64, bool) {
	if long := wire.ObjectOf(raw); long != nil {
		return longOf(long)
	}
	return wire.Number(raw)
}

// longOf reads {low, high, unsigned}. Both halves are signed 32-bit numbers, so
// low is negative whenever its top bit is set. A half is no long itself, so that
// hostile nesting ends here.
func longOf(long wire.Object) (int64, bool) {
	low, okLow := wire.Number(long.Get("low"))
	high, okHigh := wire.Number(long.Get("high"))
	return high<<32 + low&math.MaxUint32, okLow && okHigh
}

// timeOf reads a moment given in seconds, milliseconds or microseconds. It
// returns the zero time for what cannot be a message's date.
func timeOf(raw json.RawMessage) time.Time {
	n, ok := numberOf(raw)
	if !ok {
		return time.Time{}
	}
	return wire.Time(n)
}
