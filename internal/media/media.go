// Package media is the store of files: a folder, or a bucket of anything that
// speaks S3. It knows nothing of messages.
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/msgorch/msgorch/internal/secret"
)

// ErrNotFound means that the store has no file of that key.
var ErrNotFound = errors.New("no such file in the media store")

// Credentials are those of an S3 service. Without a key they are asked of the
// machine (an instance's or a pod's role).
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey secret.Text
	SessionToken    secret.Text // may be empty
	Region          string      // of an address that names none
}

// Store keeps files by keys of ours: lower-case letters, digits, dashes and
// slashes. It is safe for concurrent use, also by several processes.
type Store struct{ backend }

type backend interface {
	put(ctx context.Context, key string, file io.Reader) error
	open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	remove(ctx context.Context, key string) error
	String() string
}

// Open returns the store at an address: a path, file:///path, or
// s3://bucket/prefix?endpoint=https://host:port&region=name. It does not reach
// for it; see Check.
func Open(address string, c Credentials) (*Store, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("MEDIA_STORE is neither a path nor a URL")
	case u.Scheme == "s3":
		b, err := newBucket(u, c)
		return &Store{b}, err
	case u.Scheme == "file" && (u.Host != "" || !filepath.IsAbs(u.Path)):
		return nil, errors.New("MEDIA_STORE must be like file:///var/lib/msgorch/media, with three slashes")
	case u.Scheme == "file":
		return &Store{&folder{path: u.Path}}, nil
	case u.Scheme != "":
		return nil, errors.New("MEDIA_STORE must be a path, file:///path or s3://bucket/prefix")
	case address == "":
		return nil, errors.New("MEDIA_STORE is empty")
	}
	return &Store{&folder{path: address}}, nil
}

// Put keeps a file, in place of an earlier one. Readers see all of it or
// nothing; when reading from file fails, its error is among those returned, and
// nothing has changed.
func (s *Store) Put(ctx context.Context, key string, file io.Reader) error {
	if err := check(key); err != nil {
		return err
	}
	return s.put(ctx, key, file)
}

// Open returns a file, which the caller closes. It fails with ErrNotFound when
// there is none.
func (s *Store) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	return s.open(ctx, key)
}

// Delete deletes a file. That there is none is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(key); err != nil {
		return err
	}
	return s.remove(ctx, key)
}

// Check writes a small file, reads it and deletes it again.
func (s *Store) Check(ctx context.Context) error {
	const text = "MsgOrch was here."
	key := fmt.Sprintf("check/%d", time.Now().UnixNano())
	if err := s.Put(ctx, key, strings.NewReader(text)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	file, err := s.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	got, err := io.ReadAll(io.LimitReader(file, int64(len(text))))
	_ = file.Close()
	if err != nil || string(got) != text {
		return fmt.Errorf("read: %w", errors.Join(errors.New("it is not what was written"), err))
	}
	if err := s.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// check refuses a key that is not one of ours.
func check(key string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-/"
	if strings.Trim(key, allowed) != "" || !fs.ValidPath(key) || key == "." {
		return errors.New("this is no key of the media store")
	}
	return nil
}

// reader ends with its context, which reading from a file or a pipe would not.
type reader struct {
	ctx context.Context //nolint:containedctx // io.Reader has no other way
	in  io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}
