package sandbox

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dice decide what goes wrong. The same seed gives the same rolls, though
// concurrent requests still race for them.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed int64) *dice {
	return &dice{rng: rand.New(rand.NewPCG(uint64(seed), 0))}
}

// roll returns a number in [0,1).
func (d *dice) roll() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Float64()
}

// hit reports true in a share of cases.
func (d *dice) hit(share float64) bool {
	return share > 0 && d.roll() < share
}

// between returns a duration within a validated span of milliseconds, both
// ends included.
func (d *dice) between(ms []int) time.Duration {
	low, high := time.Duration(ms[0])*time.Millisecond, time.Duration(ms[1])*time.Millisecond
	return low + time.Duration(d.roll()*float64(high-low+1))
}

// ids makes message ids that look like WhatsApp's and never repeat: a random
// part for this server, so that a restarted one does not repeat the last one's
// ids, and a counter.
type ids struct {
	prefix uint32
	last   atomic.Uint64
}

func (i *ids) next() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[4:], i.last.Add(1))
	binary.BigEndian.PutUint32(b[3:], i.prefix) // over what the counter will not reach
	return "3EB0" + strings.ToUpper(hex.EncodeToString(b[3:]))
}
