package gateway

import (
	"context"
	"time"
)

// EventFound is the event in which a dialect tells of a message that it found in
// the gateway's own records, in place of the webhook that never came.
const EventFound = "messages.found"

// Span is a stretch of what a gateway has written down.
type Span struct {
	From, To time.Time // inclusive, in whole seconds
	Ours     bool      // only what the instance's own account wrote
	// OldBefore: what was written before it is history, of which nobody is to be
	// told as if it were new.
	OldBefore time.Time
	Page      int // from 1
}

// Record is a message as its gateway has written it down.
type Record struct {
	ID     string // the gateway's id
	FromMe bool
	At     time.Time // when it was written, to the second; zero if the record does not say
	Status Status    // how far it has come, of what Report says; empty if the record does not say
	// Message is the record as a webhook would have told it, and Report its status.
	// Both are the same bytes whenever the same is asked for, so that they are
	// stored once. Report has no Body when Status is empty.
	Message, Report Envelope
	Old             bool // written before the span's OldBefore
}

// RecordPage is one page of a span.
type RecordPage struct {
	Records []Record // in no order that could be relied on
	Pages   int      // of the whole span, as far as the gateway can say
	Newest  bool     // the newest seem to come first
}

// Historian reads what a gateway has written down. It may be used concurrently.
type Historian interface {
	// Records returns one page of a span. An error means that the gateway could
	// not tell, or does not keep records.
	Records(ctx context.Context, at Account, s Span) (RecordPage, error)
}
