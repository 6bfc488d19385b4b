package sandbox

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// message is one WhatsApp message in either direction. Nothing in it changes
// once it is in a logbook, except what is atomic.
type message struct {
	seq      int64
	instance *instance
	id       string // the gateway's id; empty for what never went out
	jid      string // whom it is to, or from
	text     string
	kind     string          // messageType; empty for a text
	says     json.RawMessage // the message member; nil for a text
	quoted   string          // id of the message replied to; empty if none
	pushName string
	fromMe   bool
	written  int64        // messageTimestamp, in Unix seconds
	arrived  int64        // Unix nanoseconds
	progress atomic.Int64 // how many of progressNames it has reached
	read     atomic.Bool  // we have said that we read it
}

// stamp gives m its place in a logbook.
func (m *message) stamp(seq int64, now time.Time) {
	m.seq, m.arrived = seq, now.UnixNano()
	if m.written == 0 {
		m.written = now.Unix()
	}
}

// sent is one request to send, whatever became of it.
type sent struct {
	message
	number    string          // as the caller wrote it
	call      string          // what was called, such as sendMedia; empty for a text
	request   json.RawMessage // the body of the call; nil for a text, and for what is too large
	outcome   Outcome
	delivered bool         // the message went out on the fake WhatsApp
	answered  atomic.Int64 // Unix nanoseconds; 0 while, or if never, answered
	cloud     *CloudSent   // nil unless it came through the Cloud API; never changes
}

// logbook remembers the last max entries in the order they were added. Entries
// are numbered from 1 and numbers are never used again, also not after clear.
type logbook[T interface{ stamp(int64, time.Time) }] struct {
	max int

	mu      sync.Mutex
	entries []T
	last    int64 // number of the newest entry ever
	cleared int64 // number of the newest entry that clear removed
}

// add numbers and dates e and appends it, in one step, so that numbers and
// times agree.
func (l *logbook[T]) add(e T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.stamp(l.last, time.Now())
	l.entries = append(l.entries, e)
	// Old entries go in batches: copying an eighth less often than always.
	if len(l.entries) > l.max+l.max/8 {
		l.entries = slices.Clone(l.entries[len(l.entries)-l.max:])
	}
}

// snapshot returns the entries and how many older ones were forgotten for lack
// of room. The slice is only ever appended to or replaced, so it may be read
// while others add.
func (l *logbook[T]) snapshot() (entries []T, forgotten int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries = l.entries[max(0, len(l.entries)-l.max):]
	return slices.Clip(entries), l.last - l.cleared - int64(len(entries))
}

// clear removes all entries.
func (l *logbook[T]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.cleared = nil, l.last
}
