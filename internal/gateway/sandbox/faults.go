package sandbox

import (
	"io"
	"net/http"
	"slices"
)

// Faults say how often what goes wrong. Rates are shares from 0 to 1 and spans
// are [from, to] in milliseconds. A send suffers at most one of the first six,
// each exactly as often as its rate says, so those add up to at most 1.
type Faults struct {
	Error500 float64 `json:"error_500"`    // answer 500; not sent
	TooMany  float64 `json:"too_many_429"` // answer 429 with Retry-After; not sent
	NoKeyID  float64 `json:"no_key_id"`    // send, but answer 201 without key
	Hang     float64 `json:"hang"`         // do not answer, for hang_seconds, then cut the connection
	Reset    float64 `json:"reset"`        // reset the connection instead of answering
	Slow     float64 `json:"slow"`         // send and answer well, after slow_ms

	RetryAfterSeconds int     `json:"retry_after_seconds"`
	HangSeconds       int     `json:"hang_seconds"`
	ResetDelivers     float64 `json:"reset_delivers"` // share of hangs and resets in which the message went out
	SlowMS            []int   `json:"slow_ms"`

	WebhookDuplicate   float64 `json:"webhook_duplicate"` // post it again, byte for byte
	WebhookReorder     float64 `json:"webhook_reorder"`   // hold it back for webhook_reorder_ms while later ones pass
	WebhookReorderMS   []int   `json:"webhook_reorder_ms"`
	WebhookDrop        float64 `json:"webhook_drop"`         // never post it
	WebhookBatch       float64 `json:"webhook_batch"`        // the Cloud API's: have it wait, up to 200 ms, for another one to share a body with
	GraphErrors        []int   `json:"graph_errors"`         // the Cloud API's: what error_500 is there, each as often; 0: a page in HTML, as reset_delivers says; none: 131000
	StatusBeforeAnswer float64 `json:"status_before_answer"` // share of sends whose send.message comes before the answer

	MediaError float64 `json:"media_error"` // answer 500 instead of giving a file that somebody sent

	AckDelayMS  []int `json:"ack_delay_ms"`  // from the send to DELIVERY_ACK
	ReadDelayMS []int `json:"read_delay_ms"` // from the send to READ

	ClosedInstances       []string `json:"closed_instances"`       // sends: 400 Connection Closed
	UnauthorizedInstances []string `json:"unauthorized_instances"` // everything: 401
	MissingInstances      []string `json:"missing_instances"`      // everything: 404
}

// DefaultFaults are those of a healthy gateway: none, with a delivery report
// after about 50 ms, a read report after about 150 ms, and the send.message
// webhook ahead of the answer half the time, as real gateways do.
func DefaultFaults() Faults {
	return Faults{
		RetryAfterSeconds:     2,
		HangSeconds:           60,
		ResetDelivers:         0.5,
		SlowMS:                []int{50, 500},
		WebhookReorderMS:      []int{100, 1000},
		StatusBeforeAnswer:    0.5,
		GraphErrors:           []int{},
		AckDelayMS:            []int{40, 60},
		ReadDelayMS:           []int{130, 170},
		ClosedInstances:       []string{},
		UnauthorizedInstances: []string{},
		MissingInstances:      []string{},
	}
}

// decodeFaults reads what PUT /sandbox/faults takes. What is left out has its
// default. The error names the field.
func decodeFaults(data []byte) (Faults, error) {
	f := DefaultFaults()
	if err := decodeStrict(data, &f); err != nil {
		return Faults{}, err
	}
	if err := f.validate(); err != nil {
		return Faults{}, err
	}
	return f, nil
}

// Bounds of what a drill may ask for.
const (
	maxSpanMS  = 600_000
	maxSeconds = 3600
)

func (f *Faults) validate() error {
	for _, s := range f.shares() {
		if !(s.value >= 0 && s.value <= 1) { // written so that NaN is refused
			return wrong(s.field, "must be from 0 to 1, is %v", s.value)
		}
	}
	for _, span := range []struct {
		field string
		ms    []int
	}{
		{"slow_ms", f.SlowMS},
		{"webhook_reorder_ms", f.WebhookReorderMS},
		{"ack_delay_ms", f.AckDelayMS},
		{"read_delay_ms", f.ReadDelayMS},
	} {
		if len(span.ms) != 2 || span.ms[0] < 0 || span.ms[0] > span.ms[1] || span.ms[1] > maxSpanMS {
			return wrong(span.field, "must be [from, to] in milliseconds, from 0 to %d", maxSpanMS)
		}
	}
	if f.RetryAfterSeconds < 0 || f.RetryAfterSeconds > maxSeconds {
		return wrong("retry_after_seconds", "must be from 0 to %d", maxSeconds)
	}
	if err := validateGraphErrors(f.GraphErrors); err != nil {
		return err
	}
	if f.HangSeconds < 0 || f.HangSeconds > maxSeconds {
		return wrong("hang_seconds", "must be from 0 to %d", maxSeconds)
	}
	// A little over 1 is what ten rates of 0.1 add up to in floating point.
	if sum := f.Error500 + f.TooMany + f.NoKeyID + f.Hang + f.Reset + f.Slow; sum > 1+1e-9 {
		return wrong("error_500, too_many_429, no_key_id, hang, reset, slow",
			"exclude each other and so add up to at most 1, not %v", sum)
	}
	return nil
}

type share struct {
	field string
	value float64
}

func (f *Faults) shares() []share {
	return []share{
		{"error_500", f.Error500},
		{"too_many_429", f.TooMany},
		{"no_key_id", f.NoKeyID},
		{"hang", f.Hang},
		{"reset", f.Reset},
		{"slow", f.Slow},
		{"reset_delivers", f.ResetDelivers},
		{"webhook_duplicate", f.WebhookDuplicate},
		{"webhook_reorder", f.WebhookReorder},
		{"webhook_drop", f.WebhookDrop},
		{"webhook_batch", f.WebhookBatch},
		{"status_before_answer", f.StatusBeforeAnswer},
		{"media_error", f.MediaError},
	}
}

// SetFaults replaces all faults, or changes nothing and says which field is
// wrong. Start from DefaultFaults, and leave f's slices alone afterwards. An
// instance that is closed no longer announces that it is open again; closing
// is silent, as a lost connection is with the real gateway.
func (s *Server) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.replaceFaults(f)
	return nil
}

func (s *Server) replaceFaults(f Faults) {
	before := s.faults.Swap(&f)
	for _, name := range before.ClosedInstances {
		if !slices.Contains(f.ClosedInstances, name) {
			s.push(&event{kind: eventConnection, instance: s.instances.get(name), status: "open"})
		}
	}
}

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		writeError(w, wrong("body", "cannot be read: %v", err))
		return
	}
	f, err := decodeFaults(data)
	if err != nil {
		writeError(w, err)
		return
	}
	s.replaceFaults(f)
	s.showFaults(w, r)
}

func (s *Server) resetFaults(w http.ResponseWriter, r *http.Request) {
	s.replaceFaults(DefaultFaults())
	s.showFaults(w, r)
}

func (s *Server) showFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.faults.Load())
}
