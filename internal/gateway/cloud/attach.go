package cloud

import (
	"cmp"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"

	"github.com/msgorch/msgorch/internal/gateway"
)

// file is an image, video, audio, document or sticker: by the id that Meta gave
// it, or by a link from where Meta fetches it.
type file struct {
	ID       string `json:"id,omitempty"`
	Link     string `json:"link,omitempty"`
	Caption  string `json:"caption,omitempty"`
	FileName string `json:"filename,omitempty"`
	Voice    bool   `json:"voice,omitempty"` // an audio that was spoken

	bytes    []byte // to be uploaded before it has an id; nil if it need not be
	mimeType string // of bytes
}

// attach fills in a file.
func (o *outgoing) attach(m gateway.Outgoing) *refusal {
	media := m.Content.Media
	if media == nil {
		return incomplete("The message has no file.")
	}
	f := &file{ID: media.GatewayID, Caption: cmp.Or(media.Caption, m.Text)}
	switch m.Type {
	case gateway.TypeImage:
		o.Image = f
	case gateway.TypeVideo:
		o.Video = f
	case gateway.TypeDocument:
		o.Document, f.FileName = f, media.FileName
	case gateway.TypeSticker:
		o.Sticker = f
	case gateway.TypeAudio, gateway.TypeVoice:
		o.Type, o.Audio, f.Voice = "audio", f, m.Type == gateway.TypeVoice
	}
	if f.Caption != "" && (o.Audio != nil || o.Sticker != nil) {
		return incomplete("Audio and stickers have no caption on WhatsApp.")
	}
	if f.ID != "" {
		return nil
	}
	return f.locate(media)
}

// file returns the file that the message holds, or nil.
func (o *outgoing) file() *file {
	return cmp.Or(o.Image, o.Video, o.Audio, o.Document, o.Sticker)
}

// locate says where the bytes of a file are.
func (f *file) locate(media *gateway.Media) *refusal {
	switch {
	case media.URL != "" && media.Base64 != "":
		return incomplete("The file has both a URL and bytes of its own.")
	case media.URL != "":
		address, err := url.Parse(media.URL)
		if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
			return incomplete("The file's URL is not one of HTTP.")
		}
		f.Link = media.URL
		return nil
	case media.Base64 == "":
		return incomplete("The file has neither a URL nor bytes.")
	}
	content, err := base64.StdEncoding.DecodeString(media.Base64)
	if err != nil || len(content) == 0 {
		return incomplete("The file is not valid base64.")
	}
	mimeType, ok := mimeTypeOf(media.MIMEType, content)
	if !ok {
		return incomplete("The file's MIME type is none.")
	}
	f.bytes, f.mimeType = content, mimeType
	return nil
}

// mimeTypeOf returns the type that was told, in a form that is safe in a header,
// or the one that the bytes look like.
func mimeTypeOf(told string, content []byte) (mimeType string, ok bool) {
	parsed, parameters, err := mime.ParseMediaType(cmp.Or(told, http.DetectContentType(content)))
	if err != nil {
		return "", false
	}
	mimeType = mime.FormatMediaType(parsed, parameters)
	return mimeType, mimeType != ""
}
