package history

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

// What the state of a file can be.
const (
	filePending = "pending"
	fileKept    = "kept"
	fileFailed  = "failed"
)

// File is a file that is kept, as it is given out.
type File struct {
	Key      string // of the store
	Name     string // as its sender says; may be empty
	MIMEType string // by its bytes
	Size     int64  // counted
	SHA256   []byte
}

// File returns the file of a message. It fails with fault.NotFound when the
// message holds none, with fault.Conflict while it is being fetched, and with
// fault.Gone when it could not be.
func (r *Reader) File(ctx context.Context, m Message) (File, error) {
	rows, err := db.New(r.pool).MediaOf(ctx, []uuid.UUID{m.ID})
	if err != nil {
		return File{}, away(err)
	}
	if len(rows) == 0 {
		return File{}, fault.New(fault.NotFound, "no_media", "No file is kept of this message: it holds none, or it was not received while MsgOrch listened.")
	}
	f := rows[0]
	switch f.State {
	case filePending:
		const soon = 2 * time.Second
		return File{}, fault.New(fault.Conflict, "media_pending", "The file is being fetched from the gateway.").RetryAfter(soon)
	case fileFailed:
		return File{}, fault.New(fault.Gone, "media_failed", fmt.Sprintf("The file could not be fetched: %s (%s)", deref(f.ErrorText), deref(f.ErrorCode)))
	}
	out := File{Key: f.StorageKey, MIMEType: deref(f.MimeType), SHA256: f.Sha256}
	if f.Size != nil {
		out.Size = *f.Size
	}
	if m.Media != nil {
		out.Name = m.Media.FileName
	}
	return out, nil
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func pointers(messages []Message) []*Message {
	out := make([]*Message, len(messages))
	for i := range messages {
		out[i] = &messages[i]
	}
	return out
}

// addFiles says of messages that hold files what is known of those.
func (r *Reader) addFiles(ctx context.Context, messages ...*Message) error {
	byID := map[uuid.UUID]*Message{}
	ids := make([]uuid.UUID, 0, len(messages))
	for _, m := range messages {
		if m.Media != nil {
			byID[m.ID], ids = m, append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := db.New(r.pool).MediaOf(ctx, ids)
	if err != nil {
		return away(err)
	}
	for _, row := range rows {
		describe(byID[row.ID], row)
	}
	return nil
}

func describe(m *Message, row db.Media) {
	f := m.Media
	f.State = row.State
	f.Fetch = &gateway.MediaFetch{Attempts: int(row.Attempts), AttemptedAt: utc(row.AttemptedAt)}
	if row.DurationMs != nil {
		took := int(*row.DurationMs)
		f.Fetch.DurationMS = &took
	}
	if row.ErrorCode != nil {
		f.Fetch.Error = &gateway.MediaError{Code: *row.ErrorCode, Message: deref(row.ErrorText)}
	}
	switch row.State {
	case filePending:
		f.Fetch.NextAttemptAt = utc(&row.NextAttemptAt)
	case fileKept:
		f.URL, f.MIMEType, f.SHA256 = "/v1/messages/"+m.ID.String()+"/media", deref(row.MimeType), base64.StdEncoding.EncodeToString(row.Sha256)
		if row.Size != nil {
			f.Size = *row.Size
		}
	}
}

// Extension is what the name of a file of a type ends in, with the dot; empty
// for a type that is not known.
func Extension(mimeType string) string {
	kind := mimetype.Lookup(mimeType)
	if kind == nil {
		return ""
	}
	return kind.Extension()
}
