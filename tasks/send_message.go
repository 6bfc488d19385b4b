package tasks

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"
)

// Limits of a message.
const (
	MaxTextRunes     = 65_536
	MaxKeyBytes      = 255
	MaxMetadataBytes = 16_384
)

// Budgets of a send task. How often a message is tried is counted in
// PostgreSQL; asynq's own count only has to be larger, because asynq archives a
// task that runs out of retries even when it was merely told to wait.
const (
	sendTimeout  = 5 * time.Minute
	sendMaxRetry = 1000
)

// SendMessage asks for one message to be sent, once, after every earlier
// message of the same chat. It carries what POST /v1/messages takes. Handled by
// outbound.Service.Send.
type SendMessage struct {
	// ID is the message's own id once its row exists. Callers leave it empty.
	ID string `json:"id,omitempty"`
	// Key is the caller's name for this message, the Idempotency-Key. Two
	// messages with the same Instance and Key are one message. At most
	// MaxKeyBytes; empty: every call is a message of its own.
	Key string `json:"key,omitempty"`
	// Instance is the name of the WhatsApp number to send from.
	Instance string `json:"instance"`
	// To is who gets it: E.164 ("+5215550000001"), its digits, or a JID.
	To string `json:"to"`
	// Text is what to say: UTF-8 without NUL, at most MaxTextRunes characters. It is
	// empty when the message holds something else.
	Text string `json:"text,omitempty"`
	// Content is what the message holds instead of a text.
	Content
	// Priority is "critical", "default" or "bulk"; empty means "default". It
	// orders chats, never the messages of one chat.
	Priority string `json:"priority,omitempty"`
	// SendAt is when to send it, at most a year ahead; zero means now.
	SendAt time.Time `json:"send_at,omitzero"`
	// ExpiresAt is when it is no longer worth sending; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// ReplyTo is the id of the message this one answers, in the same chat.
	ReplyTo string `json:"reply_to,omitempty"`
	// Metadata is the caller's own; its JSON has at most MaxMetadataBytes.
	Metadata map[string]any `json:"metadata,omitempty"`
}

// TaskType implements Payload.
func (SendMessage) TaskType() string { return "message:send" }

// Options implements Payload. A message without ID and Key has an identity that
// asynq draws, which is the same on every retry.
func (m SendMessage) Options() []asynq.Option {
	opts := sendOptions(m.Priority)
	switch {
	case m.ID != "":
		opts = append(opts, asynq.TaskID("message:send:"+m.ID))
	case m.Key != "":
		opts = append(opts, asynq.TaskID("message:send:"+m.Instance+":"+m.Key))
	}
	return opts
}

func sendOptions(priority string) []asynq.Option {
	return []asynq.Option{
		asynq.Queue(QueueOf(priority)),
		asynq.Timeout(sendTimeout),
		asynq.MaxRetry(sendMaxRetry),
	}
}

// QueueOf returns the queue of messages with a priority; empty means default.
func QueueOf(priority string) string {
	if priority == "" {
		return QueueDefault
	}
	return priority
}

// identify gives a message that its caller did not name the identity of the
// task that carries it: its row is then written once, however often the task
// runs.
func (m *SendMessage) identify(taskID string) {
	if m.ID != "" || m.Key != "" || taskID == "" {
		return
	}
	if m.Key = "task:" + taskID; len(m.Key) > MaxKeyBytes {
		m.Key = fmt.Sprintf("task:%x", sha256.Sum256([]byte(taskID)))
	}
}

// Validate implements Payload. It does not judge times against the clock: a
// task may wait for a worker longer than its message was meant to.
func (m SendMessage) Validate() error {
	if reason := checkName(m.Instance); reason != "" {
		return &InvalidError{"instance", "invalid_instance", reason}
	}
	if _, err := ChatOf(m.To); err != nil {
		return err
	}
	if err := m.checkContent(); err != nil {
		return err
	}
	if len(m.Key) > MaxKeyBytes || !storable(m.Key) {
		return &InvalidError{"key", "invalid_key", "must be at most 255 bytes of UTF-8 without NUL"}
	}
	switch m.Priority {
	case "", QueueCritical, QueueDefault, QueueBulk:
	default:
		return &InvalidError{"priority", "invalid_priority", `must be "critical", "default" or "bulk"`}
	}
	if !m.ExpiresAt.IsZero() && m.ExpiresAt.Before(m.SendAt) {
		return &InvalidError{"expires_at", "invalid_time", "must not be before send_at"}
	}
	return checkMetadata(m.Metadata)
}

// checkContent judges what the message says or holds.
func (m SendMessage) checkContent() error {
	switch n := m.Parts(); {
	case n > 1 || n == 1 && m.Text != "":
		return &InvalidError{"text", "several_contents", "must not come with another content: a message has exactly one"}
	case n == 1:
		return m.check()
	case m.ID != "" && m.Text == "": // its row says it
		return nil
	}
	if reason := checkText(m.Text); reason != "" {
		return &InvalidError{"text", "invalid_text", reason}
	}
	return nil
}

func checkText(text string) (reason string) {
	switch {
	case text == "":
		return "must not be empty"
	case !storable(text):
		return "must be UTF-8 without NUL"
	case utf8.RuneCountInString(text) > MaxTextRunes:
		return "must have at most 65536 characters"
	}
	return ""
}

func checkMetadata(metadata map[string]any) error {
	if len(metadata) == 0 {
		return nil
	}
	body, err := json.Marshal(metadata)
	if err != nil || len(body) > MaxMetadataBytes {
		return &InvalidError{"metadata", "invalid_metadata", "must be a JSON object of at most 16384 bytes"}
	}
	if !storableJSON(body) {
		return &InvalidError{"metadata", "invalid_metadata", "must not contain NUL"}
	}
	return nil
}

// storableJSON reports whether PostgreSQL's jsonb can hold a document: it holds no
// NUL. "\\u0000" is a backslash and some text.
func storableJSON(body []byte) bool {
	return utf8.Valid(body) && !strings.Contains(strings.ReplaceAll(string(body), `\\`, ""), `\u0000`)
}

// storable reports whether PostgreSQL's text can hold s.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// SendMessages asks for messages that were accepted together. Their rows exist,
// so every one has an ID. Handled by outbound.Service.SendAll.
type SendMessages struct {
	// Batch names the group. It is stored with each of its messages.
	Batch string `json:"batch"`
	// Messages have one priority, that of the first.
	Messages []SendMessage `json:"messages"`
}

// TaskType implements Payload.
func (SendMessages) TaskType() string { return "messages:send" }

// Options implements Payload.
func (b SendMessages) Options() []asynq.Option {
	priority := ""
	if len(b.Messages) > 0 {
		priority = b.Messages[0].Priority
	}
	return append(sendOptions(priority), asynq.TaskID("messages:send:"+b.Batch))
}

// Validate implements Payload.
func (b SendMessages) Validate() error {
	if b.Batch == "" || len(b.Messages) == 0 {
		return &InvalidError{"messages", "invalid_batch", "must name a batch and hold at least one message"}
	}
	for _, m := range b.Messages {
		if m.ID == "" {
			return &InvalidError{"messages", "invalid_batch", "must hold messages that were accepted"}
		}
	}
	return nil
}
