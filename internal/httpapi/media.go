package httpapi

import (
	"context"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/history"
)

// Opener reads files by their keys.
type Opener interface {
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
}

// mediaTime is how long a client may take to read a file.
const mediaTime = time.Hour

// getMedia gives out a file. Whatever a stranger sent, no browser is to run it
// here: it is a download, of the type that its bytes have, in a sandbox.
func (s *server) getMedia(ctx context.Context, in *messageInput) (*huma.StreamResponse, error) {
	d, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	f, err := s.History.File(ctx, d.Message)
	if err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	file, err := s.Files.Open(ctx, f.Key)
	if err != nil {
		return nil, s.fail(ctx, "path", fault.New(fault.Unavailable, "media_store_failed", "The file could not be read from the media store.").Because(err))
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer file.Close()
		r, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("Content-Type", f.MIMEType)
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": safeName(f, d.ID.String())}))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		h.Set("Cache-Control", "private")
		h.Set("ETag", `"`+hex.EncodeToString(f.SHA256)+`"`)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(mediaTime)) // where there is none to set, none holds
		http.ServeContent(w, r, "", time.Time{}, file)
	}}, nil
}

// safeName is what a client may call the file: as its sender did, but for what
// means something in a path or to a terminal.
func safeName(f history.File, otherwise string) string {
	const longest = 200 // bytes; file systems take 255
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, f.Name)
	name = strings.TrimLeft(strings.TrimSpace(name), ".")
	if len(name) > longest {
		ext := path.Ext(name)
		if len(ext) > 16 {
			ext = ""
		}
		name = strings.ToValidUTF8(name[:longest-len(ext)], "") + ext
	}
	if name != "" {
		return name
	}
	return otherwise + history.Extension(f.MIMEType)
}

// mediaResponses say in the OpenAPI document what no type does.
func mediaResponses() map[string]*huma.Response {
	file := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	return map[string]*huma.Response{
		"200": {Description: "The file, of the type that its bytes have, as a download", Content: file},
		"206": {Description: "The part that Range asks for", Content: file},
		"304": {Description: "The file that If-None-Match names"},
	}
}
