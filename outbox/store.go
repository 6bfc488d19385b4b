package outbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/tasks"
)

const (
	maxAhead   = 366 * 24 * time.Hour
	storeTries = 3
)

// newID returns a UUIDv7: ids sort by the time they were made.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// check says what is wrong with a message as it is offered now.
func check(m tasks.SendMessage, now time.Time) error {
	if err := invalid(m.Validate()); err != nil {
		return err
	}
	badTime := func(field, reason string) error {
		return invalid(&tasks.InvalidError{Field: field, Code: "invalid_time", Reason: reason})
	}
	switch {
	case !m.SendAt.IsZero() && m.SendAt.Before(now):
		return badTime("send_at", "must not be in the past")
	case m.SendAt.After(now.Add(maxAhead)):
		return badTime("send_at", "must be at most a year ahead")
	case !m.ExpiresAt.IsZero() && m.ExpiresAt.Before(now):
		return badTime("expires_at", "must not be in the past")
	}
	if target(m) != "" {
		if _, err := uuid.Parse(target(m)); err != nil {
			return unknownReply(m)
		}
	}
	return nil
}

// late answers for a message that check refused: a caller that repeats a
// request gets its answer even when the times in it have passed since.
func late(ctx context.Context, q *db.Queries, m tasks.SendMessage, refused error) (Receipt, error) {
	if m.Key == "" || fault.Of(refused).Code != "invalid_time" || m.Validate() != nil {
		return Receipt{}, refused
	}
	chat, err := tasks.ChatOf(m.To)
	if err != nil {
		return Receipt{}, refused
	}
	_, hash, err := encode(m, chat)
	if err != nil {
		return Receipt{}, err
	}
	r, err := replay(ctx, q, m, hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return Receipt{}, refused
	}
	return r, away(err)
}

// invalid turns a payload's own complaint into a classified failure.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*tasks.InvalidError](err); ok {
		return fault.New(fault.Invalid, e.Code, "The field "+e.Field+" "+e.Reason+".").At(e.Field).Because(err)
	}
	return fault.New(fault.Invalid, "invalid_message", "The message cannot be sent as it is.").Because(err)
}

// away classifies what PostgreSQL said.
func away(err error) error {
	// Class 22 is a data exception: no retry can mend the data.
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pg.Code, "22") {
		return fault.New(fault.Invalid, "invalid_message", "The message holds what PostgreSQL cannot store.").
			Because(errors.Join(tasks.ErrInvalid, err))
	}
	if err == nil || !db.Away(err) {
		return err
	}
	return fault.New(fault.Unavailable, "database_unavailable", "The database is away; nothing was accepted.").
		RetryAfter(2 * time.Second).Because(err)
}

func unknownReply(m tasks.SendMessage) error {
	field := "reply_to"
	if m.Reaction != nil {
		field = "reaction.to"
	}
	return fault.New(fault.Invalid, "unknown_reply_to", "The field "+field+" names no message of this chat.").
		At(field).Because(ErrUnknownReply)
}

// store writes the rows of messages, which are valid, in the order given. The
// error of one is in its answer; the error returned is everyone's. It must not be
// within a transaction.
func store(ctx context.Context, q *db.Queries, group uuid.UUID, batch []tasks.SendMessage) (answers []accepted, err error) {
	for range storeTries {
		if answers, err = storeTimes(ctx, q, group, batch, true, storeTries); !db.Moved(err) {
			break
		}
	}
	return answers, err
}

// storeTimes is store. Without bump it leaves the rows of chats alone, for a
// transaction that may hold them for long.
func storeTimes(ctx context.Context, q *db.Queries, group uuid.UUID, batch []tasks.SendMessage, bump bool, tries int) ([]accepted, error) {
	answers := make([]accepted, len(batch))
	if err := checkReplies(ctx, q, batch, answers); err != nil {
		return nil, err
	}
	args, at, err := acceptArgs(group, batch, answers)
	args.Bump = bump
	if err != nil || len(at) == 0 {
		return answers, err
	}
	rows, err := q.AcceptMessages(ctx, args)
	if err != nil {
		return nil, fmt.Errorf("accept messages: %w", err)
	}
	told := make(map[uuid.UUID]db.AcceptMessagesRow, len(rows))
	for _, row := range rows {
		told[row.ID] = row
	}
	if made, err := makeChats(ctx, q, args, told); err != nil {
		return nil, err
	} else if made { // nothing was stored without them
		return answers, storeAgain(ctx, q, group, batch, answers, at, bump, tries-1)
	}
	var again []int
	for n, i := range at {
		row, isTold := told[args.Ids[n]]
		answers[i].receipt.ID, answers[i].receipt.Chat = args.Ids[n], cmp.Or(row.Chat, args.Chats[n])
		switch {
		case row.Missing == missingInstance:
			answers[i].err = fault.New(fault.Invalid, "unknown_instance", "No instance has this name.").
				At("instance").Because(ErrUnknownInstance)
		case isTold:
			answers[i].receipt.CreatedAt = row.CreatedAt
			answers[i].receipt.Status = statusAt(batch[i].SendAt, row.CreatedAt)
		default:
			answers[i].receipt, answers[i].err = replay(ctx, q, batch[i], args.RequestHashes[n])
			if errors.Is(answers[i].err, pgx.ErrNoRows) {
				again = append(again, i)
			} else if err := answers[i].err; err != nil && fault.Of(err).Kind == fault.Internal {
				return nil, err
			}
		}
	}
	return answers, storeAgain(ctx, q, group, batch, answers, again, bump, tries-1)
}

// What AcceptMessages may miss.
const (
	missingInstance = "instance"
	missingChat     = "chat"
)

// makeChats makes the chats that messages miss, and reports whether any did.
func makeChats(ctx context.Context, q *db.Queries, args db.AcceptMessagesParams, told map[uuid.UUID]db.AcceptMessagesRow) (bool, error) {
	p := db.EnsureChatsParams{Moves: true}
	for n, id := range args.Ids {
		if row := told[id]; row.Missing == missingChat {
			p.InstanceIds = append(p.InstanceIds, row.InstanceID)
			p.Jids = append(p.Jids, args.Chats[n])
			p.Addresses = append(p.Addresses, args.Addresses[n])
		}
	}
	if len(p.Jids) == 0 {
		return false, nil
	}
	if err := q.EnsureChats(ctx, p); err != nil {
		return false, fmt.Errorf("make chats: %w", err)
	}
	return true, nil
}

// storeAgain stores the messages whose chats were just made, or whose key somebody
// else stored while it was looked for.
func storeAgain(ctx context.Context, q *db.Queries, group uuid.UUID, batch []tasks.SendMessage, answers []accepted, at []int, bump bool, tries int) error {
	if len(at) == 0 {
		return nil
	}
	if tries == 0 { // only a caller's transaction whose snapshot does not move comes here
		for _, i := range at {
			answers[i].err = fault.New(fault.Unavailable, "chat_busy", "The chat was just made by another transaction; try again.").RetryAfter(time.Second)
		}
		return nil
	}
	rest := make([]tasks.SendMessage, len(at))
	for n, i := range at {
		rest[n] = batch[i]
	}
	stored, err := storeTimes(ctx, q, group, rest, bump, tries)
	if err != nil {
		return err
	}
	for n, i := range at {
		answers[i] = stored[n]
	}
	return nil
}

// acceptArgs lays the messages out in columns, leaving out those that have an
// error already. at tells which message each line is.
func acceptArgs(group uuid.UUID, batch []tasks.SendMessage, answers []accepted) (args db.AcceptMessagesParams, at []int, err error) {
	args.TaskBatch = group
	for i, m := range batch {
		if answers[i].err != nil {
			continue
		}
		chat, err := tasks.ChatOf(m.To)
		if err != nil {
			answers[i].err = invalid(err)
			continue
		}
		metadata, hash, err := encode(m, chat)
		if err != nil {
			return args, nil, err
		}
		content, file, err := contentOf(m)
		if err != nil {
			return args, nil, err
		}
		replyTo, _ := uuid.Parse(target(m)) // judged before; Nil means none
		at = append(at, i)
		args.Ids = append(args.Ids, newID())
		if file != nil {
			args.UploadIds = append(args.UploadIds, args.Ids[len(args.Ids)-1])
			args.Uploads = append(args.Uploads, file)
		}
		args.Instances = append(args.Instances, m.Instance)
		args.Chats = append(args.Chats, chat)
		args.Addresses = append(args.Addresses, address.Of(chat))
		args.Types = append(args.Types, m.Type())
		args.Texts = append(args.Texts, m.Text+m.Words()) // it has one of them
		args.Contents = append(args.Contents, content)
		args.ReplyTos = append(args.ReplyTos, replyTo)
		args.Priorities = append(args.Priorities, tasks.QueueOf(m.Priority))
		args.SendAts = append(args.SendAts, m.SendAt.UTC())
		args.ExpiresAts = append(args.ExpiresAts, m.ExpiresAt.UTC())
		args.Metadatas = append(args.Metadatas, metadata)
		args.IdempotencyKeys = append(args.IdempotencyKeys, m.Key)
		args.RequestHashes = append(args.RequestHashes, hash)
	}
	return args, at, nil
}

// contentOf returns what a message holds instead of a text as JSON, empty if
// nothing, and the file that came along with it, which is stored apart.
func contentOf(m tasks.SendMessage) (content string, file []byte, err error) {
	c := m.Content
	if c.Type() == "text" {
		return "", nil, nil
	}
	if c.Media != nil && c.Media.Base64 != "" {
		if file, err = base64.StdEncoding.DecodeString(c.Media.Base64); err != nil {
			return "", nil, fmt.Errorf("decode file: %w", err) // it was judged before
		}
		media := *c.Media
		media.Base64 = ""
		c.Media = &media
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		return "", nil, fmt.Errorf("encode content: %w", err)
	}
	return string(encoded), file, nil
}

// target is the id of the message that m answers or reacts to; empty: none.
func target(m tasks.SendMessage) string {
	if m.Reaction != nil {
		return m.Reaction.To
	}
	return m.ReplyTo
}

// encode returns the metadata as JSON and the hash of what the key stands for:
// empty without a key. Two spellings of one recipient are the same request.
func encode(m tasks.SendMessage, chat string) (metadata string, hash []byte, err error) {
	metadata = "{}"
	if len(m.Metadata) > 0 {
		b, err := json.Marshal(m.Metadata)
		if err != nil {
			return "", nil, fmt.Errorf("encode metadata: %w", err)
		}
		metadata = string(b)
	}
	if m.Key == "" {
		return metadata, []byte{}, nil
	}
	m.ID, m.Key, m.To, m.Priority = "", "", chat, tasks.QueueOf(m.Priority)
	m.SendAt, m.ExpiresAt = m.SendAt.UTC(), m.ExpiresAt.UTC()
	b, err := json.Marshal(m)
	if err != nil {
		return "", nil, fmt.Errorf("encode message: %w", err)
	}
	sum := sha256.Sum256(b)
	return metadata, sum[:], nil
}

// replay answers for a message whose key is known: with the receipt of the
// first one, if it was the same.
func replay(ctx context.Context, q *db.Queries, m tasks.SendMessage, hash []byte) (Receipt, error) {
	if m.Key == "" {
		return Receipt{}, pgx.ErrNoRows
	}
	row, err := q.MessageByKey(ctx, db.MessageByKeyParams{Instance: m.Instance, IdempotencyKey: m.Key})
	if err != nil {
		return Receipt{}, fmt.Errorf("find message by key: %w", err)
	}
	if !bytes.Equal(row.Message.RequestHash, hash) {
		return Receipt{}, fault.New(fault.Invalid, "idempotency_key_reused", "The idempotency key stands for another message already.").
			Because(ErrKeyReused)
	}
	return Receipt{
		ID: row.Message.ID, Chat: row.Chat, CreatedAt: row.Message.CreatedAt,
		Status: statusAt(m.SendAt, row.Message.CreatedAt), Replayed: true,
	}, nil
}

func statusAt(sendAt, accepted time.Time) string {
	if sendAt.After(accepted) {
		return string(db.MessageStatusScheduled)
	}
	return string(db.MessageStatusQueued)
}

// checkReplies marks messages that answer one which is not in their chat.
func checkReplies(ctx context.Context, q *db.Queries, batch []tasks.SendMessage, answers []accepted) error {
	var args db.ReplyTargetsParams
	var at []int
	for i, m := range batch {
		if target(m) == "" {
			continue
		}
		id, err := uuid.Parse(target(m))
		chat, invalid := tasks.ChatOf(m.To)
		answers[i].err = unknownReply(m) // until it is found
		if err == nil && invalid == nil {
			at = append(at, i)
			args.Ids = append(args.Ids, id)
			args.Instances = append(args.Instances, m.Instance)
			args.Addresses = append(args.Addresses, address.Of(chat))
		}
	}
	if len(at) == 0 {
		return nil
	}
	found, err := q.ReplyTargets(ctx, args)
	if err != nil {
		return fmt.Errorf("find messages replied to: %w", err)
	}
	for _, ord := range found {
		answers[at[ord-1]].err = nil
	}
	return nil
}
