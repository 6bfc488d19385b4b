// Package history is the room where what happened is looked up: messages with
// their history and attempts, and conversations, as the API and the command
// line show them.
package history

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// Page sizes.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Message is the message resource, in both directions.
type Message struct {
	ID               uuid.UUID       `json:"id" doc:"UUIDv7 of the message" format:"uuid"`
	Instance         string          `json:"instance" doc:"Name of the WhatsApp number it went through"`
	Chat             string          `json:"chat" doc:"JID of the conversation" example:"5215550000001@s.whatsapp.net"`
	Direction        string          `json:"direction" enum:"inbound,outbound"`
	Status           string          `json:"status" enum:"received,scheduled,queued,sending,unknown,failed,canceled,expired,accepted,sent,delivered,read,played" doc:"The best evidence so far; it never goes back"`
	Type             string          `json:"type" enum:"text,image,video,audio,voice,document,sticker,location,contacts,reaction,poll,interactive,template,unknown"`
	Text             *string         `json:"text" doc:"Text or caption"`
	Sender           *string         `json:"sender,omitempty" doc:"JID of who wrote it, in a group"`
	GatewayMessageID *string         `json:"gateway_message_id" doc:"The gateway's own id"`
	ReplyTo          *uuid.UUID      `json:"reply_to" doc:"Id of the message it answers" format:"uuid"`
	Priority         string          `json:"priority" enum:"critical,default,bulk"`
	SendAt           *time.Time      `json:"send_at"`
	ExpiresAt        *time.Time      `json:"expires_at"`
	Metadata         json.RawMessage `json:"metadata" doc:"The caller's own JSON object"`
	Error            *Error          `json:"error" doc:"Why it failed, or was not sent yet"`
	CreatedAt        time.Time       `json:"created_at" doc:"Outbound: accepted by MsgOrch. Inbound: written, as the gateway says"`
	AcceptedAt       *time.Time      `json:"accepted_at" doc:"The gateway took it"`
	SentAt           *time.Time      `json:"sent_at"`
	DeliveredAt      *time.Time      `json:"delivered_at"`
	ReadAt           *time.Time      `json:"read_at"`
	FailedAt         *time.Time      `json:"failed_at"`
	AckOverdueAt     *time.Time      `json:"ack_overdue_at" doc:"The gateway took it and has said nothing more of it; noticed then. Null again once it does"`
	EditedAt         *time.Time      `json:"edited_at" doc:"Its text was changed then"`
	DeletedAt        *time.Time      `json:"deleted_at" doc:"It was deleted for everyone"`

	gateway.Content
}

// Error is the reason for an outcome.
type Error struct {
	Code    string `json:"code" doc:"Stable and machine-readable"`
	Message string `json:"message" doc:"One line for a person"`
}

// Detail is a message with all that happened to it.
type Detail struct {
	Message
	History  []Step    `json:"history" doc:"Each status and its time, oldest first"`
	Attempts []Attempt `json:"attempts" doc:"Each try of handing it to the gateway, oldest first"`
	Receipt  *Receipt  `json:"read_receipt" doc:"Inbound, and marked as read: what became of telling its writer"`
}

// Step is one status and when it was reached.
type Step struct {
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

// Attempt is one try of handing a message to its gateway.
type Attempt struct {
	Attempt    int       `json:"attempt" doc:"Its number, from 1"`
	StartedAt  time.Time `json:"started_at"`
	DurationMS int       `json:"duration_ms"`
	Outcome    string    `json:"outcome" enum:"accepted,retry,permanent,pause,in_doubt"`
	HTTPStatus *int      `json:"http_status" doc:"Null when no answer came"`
	Error      *Error    `json:"error"`
}

// Receipt is what became of telling the writer of a message that it was read.
type Receipt struct {
	Status   string     `json:"status" enum:"pending,done,failed" doc:"failed: given up; asking again begins anew"`
	AskedAt  time.Time  `json:"asked_at"`
	DoneAt   *time.Time `json:"done_at" doc:"The gateway was told"`
	Attempts int        `json:"attempts" doc:"How many there were"`
	Error    *Error     `json:"error" doc:"Why the last one failed"`
}

// Chat is a conversation.
type Chat struct {
	JID           string    `json:"jid" doc:"Where its messages are sent"`
	Aliases       []string  `json:"aliases" doc:"Its other addresses: they lead to the same conversation"`
	Name          *string   `json:"name"`
	Unread        int       `json:"unread" doc:"Inbound messages since our last one, or since they were read, here or on another device"`
	LastMessageAt time.Time `json:"last_message_at"`
	LastMessage   *Message  `json:"last_message"`
}

// Filter says which messages to list. Zero fields do not restrict.
type Filter struct {
	Instances []string // names to look at; nil: every one
	Chat      string   // a JID or a phone number
	Direction string
	Status    string
	Overdue   bool   // only messages of which their gateway has said nothing since it took them
	Query     string // words that the text must have; a word matches its beginnings
	Since     time.Time
	Until     time.Time // exclusive
	Limit     int       // 0: DefaultLimit
	Cursor    string
}

// Reader looks things up. It is safe for concurrent use.
type Reader struct {
	pool     db.DBTX
	patience patience
}

// New returns a Reader on a pool.
func New(pool db.DBTX) *Reader { return &Reader{pool: pool, patience: usualPatience()} }

// Get returns a message with its history and attempts. It fails with
// fault.NotFound when there is none.
func (r *Reader) Get(ctx context.Context, id uuid.UUID) (Detail, error) {
	q := db.New(r.pool)
	row, err := q.MessageDetail(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Detail{}, fault.New(fault.NotFound, "unknown_message", "There is no such message.")
	}
	if err != nil {
		return Detail{}, away(err)
	}
	var attempts []attempt
	if err := json.Unmarshal(row.Attempts, &attempts); err != nil {
		return Detail{}, fmt.Errorf("read attempts of %s: %w", id, err)
	}
	d := Detail{Message: messageOf(row.ShownMessage), Attempts: attemptsOf(attempts)}
	if err := json.Unmarshal(row.History, &d.History); err != nil {
		return Detail{}, fmt.Errorf("read history of %s: %w", id, err)
	}
	if d.Receipt, err = receiptOf(row.ReadReceipt); err != nil {
		return Detail{}, fmt.Errorf("read receipt of %s: %w", id, err)
	}
	slices.SortStableFunc(d.History, func(a, b Step) int { return a.At.Compare(b.At) })
	return d, r.addFiles(ctx, &d.Message)
}

// Messages returns the messages with these ids, in no order; unknown ids are
// left out.
func (r *Reader) Messages(ctx context.Context, ids []uuid.UUID) ([]Message, error) {
	rows, err := db.New(r.pool).MessagesByID(ctx, ids)
	if err != nil {
		return nil, away(err)
	}
	out := make([]Message, len(rows))
	for i, row := range rows {
		out[i] = messageOf(row)
	}
	return out, r.addFiles(ctx, pointers(out)...)
}

// List returns a page of messages, newest first, and the cursor of the next
// page, empty when this is the last.
func (r *Reader) List(ctx context.Context, f Filter) (page []Message, next string, err error) {
	limit, err := limitOf(f.Limit)
	if err != nil {
		return nil, "", err
	}
	w, err := windowOf(f)
	if err != nil {
		return nil, "", err
	}
	w.limit = limit + 1 // one more, to know whether there is a next page
	rows, looked, err := r.rows(ctx, f, w)
	if err != nil {
		return nil, "", away(err)
	}
	if len(rows) > int(limit) {
		rows = rows[:limit]
		looked = &cursor{at: rows[limit-1].CreatedAt, n: rows[limit-1].Seq, common: w.before.common}
	}
	if looked != nil {
		next = looked.String()
	}
	page = make([]Message, len(rows))
	for i, row := range rows {
		page[i] = messageOf(row)
	}
	return page, next, r.addFiles(ctx, pointers(page)...)
}

// window is the part of time that a page is taken from.
type window struct {
	since     time.Time
	before    cursor
	limit     int32
	direction []string
	status    []string
	words     []string
	query     string // all of the words
}

func windowOf(f Filter) (w window, err error) {
	w.since = f.Since
	if w.since.IsZero() {
		w.since = time.Unix(0, 0).AddDate(-1000, 0, 0)
	}
	w.before = cursor{at: time.Unix(0, 0).AddDate(8000, 0, 0), n: math.MaxInt64}
	if !f.Until.IsZero() {
		w.before = cursor{at: f.Until, n: math.MinInt64}
	}
	if f.Cursor != "" {
		c, err := parseCursor(f.Cursor)
		if err != nil {
			return w, err
		}
		if c.at.Before(w.before.at) || c.at.Equal(w.before.at) && c.n < w.before.n {
			w.before = c
		}
	}
	w.direction = []string{string(db.MessageDirectionInbound), string(db.MessageDirectionOutbound)}
	if f.Direction != "" {
		if !slices.Contains(w.direction, f.Direction) {
			return w, invalid("direction", `must be "inbound" or "outbound"`)
		}
		w.direction = []string{f.Direction}
	}
	if f.Status != "" {
		if !knownStatus(db.MessageStatus(f.Status)) {
			return w, invalid("status", "is not a status that a message can have")
		}
		if f.Direction == "" && f.Status == string(db.MessageStatusReceived) { // none of ours is
			w.direction = []string{string(db.MessageDirectionInbound)}
		}
		w.status = []string{f.Status}
	} else {
		w.status = []string{}
	}
	if !storable(f.Query) || len(f.Query) > 256 {
		return w, invalid("q", "must be at most 256 bytes of UTF-8 without NUL")
	}
	if f.Overdue && (f.Chat != "" || f.Direction != "" || f.Status != "" || f.Query != "") {
		return w, invalid("ack_overdue", "goes with instance, since and until alone")
	}
	w.words = strings.Fields(f.Query)
	w.query = tsquery(w.words)
	if !storable(f.Chat) {
		return w, invalid("chat", "must be UTF-8 without NUL")
	}
	for _, name := range f.Instances {
		if !storable(name) {
			return w, invalid("instance", "must be UTF-8 without NUL")
		}
	}
	return w, nil
}

// storable reports whether PostgreSQL's text can hold s.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// tsquery asks for texts that have all words; a word matches every word that begins
// with it. Each is quoted, so that nothing in it is an operator.
func tsquery(words []string) string {
	var terms []string
	quote := strings.NewReplacer(`\`, `\\`, `'`, `''`)
	for _, word := range words {
		terms = append(terms, "'"+quote.Replace(word)+"':*")
	}
	return strings.Join(terms, " & ")
}

// rows walks the one index that serves this filter. Where none does it looks at
// messages for a while: looked is how far it came when the page is not full and
// there is more.
func (r *Reader) rows(ctx context.Context, f Filter, w window) (page []db.ShownMessage, looked *cursor, err error) {
	q := db.New(r.pool)
	ids, err := instanceIDs(ctx, q, f.Instances)
	if err != nil || len(ids) == 0 {
		return nil, nil, err
	}
	switch {
	case f.Overdue:
		page, err = q.ListOverdueMessages(ctx, db.ListOverdueMessagesParams{
			InstanceIds: ids, BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, MaxRows: w.limit,
		})
	case f.Chat != "":
		jid := f.Chat
		if c, err := tasks.ChatOf(f.Chat); err == nil {
			jid = c
		}
		var chats []int64
		if chats, err = q.ChatIDs(ctx, db.ChatIDsParams{InstanceIds: ids, Address: address.Of(jid)}); err != nil || len(chats) == 0 {
			return nil, nil, err
		}
		if w.query != "" || f.Status != "" || f.Direction != "" {
			return r.walk(ctx, walker{window: w, instances: ids, chats: chats})
		}
		page, err = q.ListChatMessages(ctx, db.ListChatMessagesParams{
			ChatIds: chats, BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, MaxRows: w.limit,
		})
	case w.query == "" && isOpen(f.Status) && f.Direction != string(db.MessageDirectionInbound):
		return r.walk(ctx, walker{window: w, instances: ids, among: open})
	case w.query == "" && isStopped(f.Status) && f.Direction != string(db.MessageDirectionInbound):
		return r.walk(ctx, walker{window: w, instances: ids, among: stopped})
	default:
		return r.walk(ctx, walker{window: w, instances: ids})
	}
	return page, nil, err
}

// instanceIDs returns the ids of the instances with these names; nil names mean
// every instance.
func instanceIDs(ctx context.Context, q *db.Queries, names []string) ([]int64, error) {
	switch {
	case names == nil:
		names = []string{}
	case len(names) == 0:
		return nil, nil
	}
	rows, err := q.InstanceIDs(ctx, names)
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, err
}

// Chats returns a page of an instance's conversations, the one that moved last
// first, and the cursor of the next page.
func (r *Reader) Chats(ctx context.Context, instance string, limit int, after string) (page []Chat, next string, err error) {
	n, before, err := position(limit, after)
	if err != nil {
		return nil, "", err
	}
	i, err := r.instance(ctx, instance)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.New(r.pool).ListChats(ctx, db.ListChatsParams{InstanceID: i.ID, BeforeAt: before.at, BeforeID: before.n, MaxRows: n + 1})
	if err != nil {
		return nil, "", away(err)
	}
	if len(rows) > int(n) {
		rows = rows[:n]
		next = cursor{at: rows[n-1].LastMessageAt, n: rows[n-1].ID}.String()
	}
	page, err = r.withLastMessages(ctx, rows)
	return page, next, err
}

func (r *Reader) withLastMessages(ctx context.Context, rows []db.ListChatsRow) ([]Chat, error) {
	var ids []uuid.UUID
	for _, c := range rows {
		if c.LastMessageID != uuid.Nil {
			ids = append(ids, c.LastMessageID)
		}
	}
	last, err := r.Messages(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*Message, len(last))
	for i := range last {
		byID[last[i].ID] = &last[i]
	}
	chats := make([]Chat, len(rows))
	for i, c := range rows {
		chats[i] = Chat{JID: c.Jid, Aliases: c.Aliases, Unread: int(c.Unread), LastMessageAt: c.LastMessageAt.UTC()}
		if c.Name != "" {
			chats[i].Name = &c.Name
		}
		chats[i].LastMessage = byID[c.LastMessageID]
	}
	return chats, nil
}

// cursor is a position in a list: a time and a number that breaks ties.
type cursor struct {
	at     time.Time
	n      int64
	common bool // so many messages have the words looked for that they need not be counted again
}

// commonMark ends the cursor of a common word.
const commonMark = "!"

func (c cursor) String() string {
	s := strconv.FormatInt(c.at.UnixMicro(), 36) + "." + strconv.FormatInt(c.n, 36)
	if c.common {
		s += commonMark
	}
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}

func parseCursor(s string) (cursor, error) {
	bad := invalid("cursor", "is not a cursor of this list")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return cursor{}, bad
	}
	text, common := strings.CutSuffix(string(b), commonMark)
	at, n, ok := strings.Cut(text, ".")
	if !ok {
		return cursor{}, bad
	}
	micros, err := strconv.ParseInt(at, 36, 64)
	// A time that PostgreSQL can hold: the years -4713 to 294276.
	if err != nil || micros < -200_000_000_000_000_000 || micros > 9_000_000_000_000_000_000 {
		return cursor{}, bad
	}
	seq, err := strconv.ParseInt(n, 36, 64)
	if err != nil {
		return cursor{}, bad
	}
	return cursor{at: time.UnixMicro(micros), n: seq, common: common}, nil
}

func limitOf(n int) (int32, error) {
	if n == 0 {
		return DefaultLimit, nil
	}
	if n < 1 || n > MaxLimit {
		return 0, invalid("limit", fmt.Sprintf("must be 1 to %d", MaxLimit))
	}
	return int32(n), nil
}

func invalid(field, reason string) error {
	return fault.New(fault.Invalid, "invalid_"+field, "The parameter "+field+" "+reason+".").At(field)
}

func away(err error) error {
	if db.Away(err) {
		return fault.New(fault.Unavailable, "database_unavailable", "The database is away.").RetryAfter(2 * time.Second).Because(err)
	}
	return err
}
