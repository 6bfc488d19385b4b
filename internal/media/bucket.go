package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// partBytes is the size of a part of a large file, and what one upload holds in
// memory. S3 takes no smaller parts, and at most 10,000.
const partBytes = 5 << 20

// bucket keeps files in a bucket of a service that speaks S3.
type bucket struct {
	client *minio.Client
	name   string
	prefix string
}

// newBucket reads s3://bucket/prefix?endpoint=…&region=…. Without an endpoint it
// is Amazon's.
func newBucket(u *url.URL, c Credentials) (*bucket, error) {
	query := u.Query()
	endpoint, secure := "s3.amazonaws.com", true
	if text := query.Get("endpoint"); text != "" {
		at, err := url.Parse(text)
		if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || strings.Trim(at.Path, "/") != "" {
			return nil, errors.New("the endpoint of MEDIA_STORE must be like https://s3.example.com:9000")
		}
		endpoint, secure = at.Host, at.Scheme == "https"
	}
	if u.Host == "" || u.User != nil {
		return nil, errors.New("MEDIA_STORE must be like s3://bucket/prefix?endpoint=https://s3.example.com&region=us-east-1")
	}
	region := query.Get("region")
	if region == "" {
		region = c.Region
	}
	keys := credentials.NewIAM("")
	if c.AccessKeyID != "" {
		keys = credentials.NewStaticV4(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal())
	}
	client, err := minio.New(endpoint, &minio.Options{Creds: keys, Secure: secure, Region: region})
	if err != nil {
		return nil, fmt.Errorf("MEDIA_STORE: %w", err)
	}
	return &bucket{client: client, name: u.Host, prefix: strings.Trim(u.Path, "/")}, nil
}

// String names the store in what people read.
func (b *bucket) String() string { return "s3://" + path.Join(b.name, b.prefix) }

func (b *bucket) at(key string) string { return path.Join(b.prefix, key) }

// put uploads a small file at once and a large one in parts, of which nobody
// sees anything before the last. Of parts that a killed process left behind, the
// bucket's life cycle has to take care.
func (b *bucket) put(ctx context.Context, key string, file io.Reader) error {
	// A payload that is signed piece by piece is more than some services understand.
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partBytes, NumThreads: 1, DisableContentSha256: true}
	head := bytes.NewBuffer(nil)
	n, err := io.CopyN(head, reader{ctx, file}, partBytes)
	switch {
	case errors.Is(err, io.EOF):
		_, err = b.client.PutObject(ctx, b.name, b.at(key), bytes.NewReader(head.Bytes()), n, o)
		return err
	case err != nil:
		return err
	}
	watched := &failing{in: io.MultiReader(head, reader{ctx, file})}
	_, err = b.client.PutObject(ctx, b.name, b.at(key), watched, -1, o)
	if watched.err != nil {
		return watched.err
	}
	return err
}

// failing remembers why reading failed, whatever the client makes of it.
type failing struct {
	in  io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func (b *bucket) open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, b.at(key), minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := object.Stat(); err != nil { // the request is only made now
		_ = object.Close()
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
		}
		return nil, err
	}
	return object, nil
}

// remove deletes a file. S3 does not tell whether there was one.
func (b *bucket) remove(ctx context.Context, key string) error {
	return b.client.RemoveObject(ctx, b.name, b.at(key), minio.RemoveObjectOptions{})
}
