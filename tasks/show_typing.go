package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// Bounds of ShowTyping.
const (
	// MaxTyping is how long the sign is shown at most.
	MaxTyping = 25 * time.Second
	// typingGood is how long after it was asked for a sign is still worth showing.
	typingGood = 5 * time.Second
	// typingOnce keeps the task for the rest of its second, so that the same sign
	// asked for again in it is the same task. asynq removes it within seconds after.
	typingOnce = time.Second
)

// ShowTyping asks to show somebody that an answer is being written. It is best
// effort: not stored, not tried again, and dropped when it comes late. Handled by
// outbound.Service.ShowTyping.
type ShowTyping struct {
	Instance string    `json:"instance"`
	Chat     string    `json:"chat"`   // a JID
	State    string    `json:"state"`  // composing, recording or paused
	ForMS    int64     `json:"for_ms"` // milliseconds
	Asked    time.Time `json:"asked"`
}

// TaskType implements Payload.
func (ShowTyping) TaskType() string { return "chat:typing" }

// Options implements Payload. Its handler starts the sign and ends at once.
func (p ShowTyping) Options() []asynq.Option {
	// Nobody's number: task ids stand in logs.
	id := sha256.Sum256([]byte(p.Chat + " " + p.State + " " + strconv.FormatInt(p.Asked.Unix(), 10)))
	return []asynq.Option{
		asynq.Queue(QueueDefault),
		asynq.TaskID("chat:typing:" + p.Instance + ":" + hex.EncodeToString(id[:8])),
		asynq.Timeout(typingGood),
		asynq.MaxRetry(0),
		asynq.Retention(typingOnce),
	}
}

// Validate implements Payload.
func (p ShowTyping) Validate() error {
	if reason := checkName(p.Instance); reason != "" {
		return &InvalidError{"instance", "invalid_instance", reason}
	}
	if jid, err := ChatOf(p.Chat); err != nil || jid != p.Chat {
		return &InvalidError{"chat", "invalid_jid", "must be the JID of a person or group"}
	}
	if !slices.Contains([]string{"composing", "recording", "paused"}, p.State) {
		return &InvalidError{"state", "invalid_state", "must be composing, recording or paused"}
	}
	if p.ForMS < 0 || p.ForMS > MaxTyping.Milliseconds() {
		return &InvalidError{"for_ms", "invalid_duration", "must be 0 to 25000"}
	}
	return nil
}

// Late reports whether the sign is not worth showing any more.
func (p ShowTyping) Late(now time.Time) bool { return now.Sub(p.Asked) > typingGood }
