package outbound

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/gabriel-vasile/mimetype"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

// Fetcher begins to read a file from an address that a caller gave. It says by
// the kind of its fault whether trying again may help.
type Fetcher interface {
	Fetch(ctx context.Context, address string) (io.ReadCloser, error)
}

const (
	fetchTimeout = time.Minute // of a file, from its URL
	// largeFile is where a file counts as large: of those, few are in memory at a
	// time, several times each, as base64 and as what is sent.
	largeFile    = 1 << 20
	largeAtOnce  = 2
	sniffedBytes = 3072
	// uploadPerMiB is what the gateway gets on top to take a file.
	uploadPerMiB = time.Second
)

// loaded is a file that was read to be sent: how large it is, and what to call
// once it was.
type loaded struct {
	bytes int64
	done  func()
}

// load puts the bytes of a message's file into it, or says why they cannot be had.
// Nothing has been sent then.
func (s *Service) load(ctx context.Context, h head, f *gateway.Media) (loaded, *gateway.Answer) {
	if f.URL != "" {
		return s.fetch(ctx, f)
	}
	data, err := db.New(s.c.Pool).UploadOf(ctx, h.ID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return loaded{}, &gateway.Answer{Outcome: gateway.Permanent, Code: "file_deleted", Reason: "The file is not kept any more; send it again."}
	case err != nil:
		return loaded{}, &gateway.Answer{Outcome: gateway.Retry, Code: "file_unreadable", Reason: "The file could not be read from the database."}
	}
	f.Base64 = base64.StdEncoding.EncodeToString(data)
	return loaded{bytes: int64(len(data))}, nil
}

// fetch reads a file from its URL. Gateways would do it themselves, each in its
// way, from inside a network that the caller should not reach.
func (s *Service) fetch(ctx context.Context, f *gateway.Media) (loaded, *gateway.Answer) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a worker that stops leaves the file to another
		select {
		case <-s.c.Stopping:
			cancel()
		case <-stop:
		}
	}()
	file, err := s.c.Files.Fetch(ctx, f.URL)
	if err != nil {
		return loaded{}, s.unfetched(err)
	}
	defer file.Close()
	got, err := s.read(ctx, file, f)
	if err != nil {
		return loaded{}, s.unfetched(err)
	}
	if f.FileName == "" && f.Kind == gateway.TypeDocument {
		f.FileName = nameIn(f.URL)
	}
	f.URL = ""
	return got, nil
}

// read reads a file as base64, and tells its type if the caller did not.
func (s *Service) read(ctx context.Context, file io.Reader, f *gateway.Media) (got loaded, err error) {
	in := bufio.NewReaderSize(io.LimitReader(file, s.c.MaxMediaBytes+1), sniffedBytes)
	head, err := in.Peek(sniffedBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return got, brokenOff(err)
	}
	mimeType := mimetype.Detect(head).String()
	var text strings.Builder
	out := base64.NewEncoder(base64.StdEncoding, &text)
	got.bytes, err = io.CopyN(out, in, largeFile)
	if err == nil { // there may be more
		if got.done, err = s.large(ctx); err != nil {
			return got, err
		}
		var rest int64
		rest, err = io.Copy(out, in)
		got.bytes += rest
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		err = brokenOff(err)
	case got.bytes == 0:
		err = fault.New(fault.Invalid, "media_empty", "The file is empty.")
	case got.bytes > s.c.MaxMediaBytes:
		err = fault.New(fault.Invalid, "media_too_large", fmt.Sprintf("The file is larger than %d bytes (MAX_MEDIA_BYTES).", s.c.MaxMediaBytes))
	default:
		err = out.Close()
	}
	if err != nil {
		got.release()
		return loaded{}, err
	}
	f.Base64, f.MIMEType = text.String(), cmp.Or(f.MIMEType, mimeType)
	return got, nil
}

// large takes one of the places for large files.
func (s *Service) large(ctx context.Context) (release func(), err error) {
	select {
	case s.larges <- struct{}{}:
		return func() { <-s.larges }, nil
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "media_url_failed", "Too many large files are being sent.")
	}
}

func (l loaded) release() {
	if l.done != nil {
		l.done()
	}
}

func brokenOff(err error) *fault.Error {
	return fault.New(fault.Unavailable, "media_url_failed", "The file's URL broke off in the middle.").Because(err)
}

// unfetched is the answer for a message whose file could not be fetched.
func (s *Service) unfetched(err error) *gateway.Answer {
	f := fault.Of(err)
	a := gateway.Answer{Outcome: gateway.Retry, Code: f.Code, Reason: f.Detail, RetryAfter: f.After}
	switch {
	case f.Kind.Final():
		a.Outcome = gateway.Permanent
	case s.stopping(): // nobody's failed attempt
		a.Scope = gateway.ScopeChat
	}
	return &a
}

// nameIn is the name of a file in its URL; empty if it has none.
func nameIn(address string) string {
	const longest = 120
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	if path.Ext(name) == "" || name == "." || len(name) > longest || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}
