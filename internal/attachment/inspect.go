package attachment

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/gabriel-vasile/mimetype"

	"github.com/msgorch/msgorch/internal/fault"
)

// headBytes are enough to tell what kind of file it is.
const headBytes = 3072

// kept is what is known of a file by its bytes.
type kept struct {
	size     int64
	mimeType string
	sha256   []byte
}

// inspector looks at a file as it is read, and fails the reading of one that is
// not to be kept: so nothing of it enters the store.
type inspector struct {
	in    io.Reader
	most  int64
	told  []byte // SHA-256; nil: its sender said none
	sum   hash.Hash
	head  []byte
	size  int64
	fault *fault.Error // why reading failed, if it was not the store's fault
}

func inspect(file io.Reader, most int64, toldSHA256 string) *inspector {
	i := &inspector{in: file, most: most, sum: sha256.New()}
	if told, err := base64.StdEncoding.DecodeString(toldSHA256); err == nil && len(told) == sha256.Size {
		i.told = told
	}
	return i
}

// Read implements io.Reader.
func (i *inspector) Read(p []byte) (int, error) {
	n, err := i.in.Read(p)
	i.size += int64(n)
	_, _ = i.sum.Write(p[:n]) // a hash takes everything
	i.head = append(i.head, p[:min(n, headBytes-len(i.head))]...)
	switch {
	case i.size > i.most:
		i.fault = fault.New(fault.Invalid, "media_too_large", fmt.Sprintf("The file is larger than %d bytes (MAX_MEDIA_BYTES).", i.most))
	case errors.Is(err, io.EOF):
		i.fault = i.judge()
	case err != nil:
		i.fault = fault.New(fault.Unavailable, "media_broken_off", "The gateway broke off in the middle of the file.").Because(err)
	}
	if i.fault != nil {
		return 0, i.fault
	}
	return n, err
}

// judge looks at the whole file.
func (i *inspector) judge() *fault.Error {
	switch {
	case i.size == 0:
		return fault.New(fault.NotFound, "media_empty", "The gateway gave an empty file.")
	case i.told != nil && subtle.ConstantTimeCompare(i.told, i.sum.Sum(nil)) == 0:
		return fault.New(fault.NotFound, "media_altered", "The file is not the one that was sent: its SHA-256 is another.")
	}
	return nil
}

func (i *inspector) kept() *kept {
	return &kept{size: i.size, mimeType: mimetype.Detect(i.head).String(), sha256: i.sum.Sum(nil)}
}
