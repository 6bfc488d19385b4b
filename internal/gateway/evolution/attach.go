package evolution

import (
	"cmp"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
)

// The bodies of the calls that send a file: by its URL, or the file itself in
// base64. The gateway tells them apart.
type (
	sendMedia struct {
		target
		Kind     string `json:"mediatype"` // image, video, audio or document
		Media    string `json:"media"`
		MIMEType string `json:"mimetype,omitempty"`
		FileName string `json:"fileName,omitempty"`
		Caption  string `json:"caption,omitempty"`
	}
	sendAudio struct {
		target
		Audio string `json:"audio"`
	}
	sendSticker struct {
		target
		Sticker string `json:"sticker"`
	}
)

// attach says a message with a file. A call of its own makes a sound a spoken one.
func attach(to target, m gateway.Outgoing) (*call, *refusal) {
	media := m.Content.Media
	if media == nil {
		return nil, incomplete("The message has no file.")
	}
	file, refused := fileOf(media)
	if refused != nil {
		return nil, refused
	}
	caption := cmp.Or(media.Caption, m.Text)
	mute := m.Type == gateway.TypeAudio || m.Type == gateway.TypeVoice || m.Type == gateway.TypeSticker
	switch {
	case mute && caption != "":
		return nil, incomplete("Audio and stickers have no caption on WhatsApp.")
	case m.Type == gateway.TypeSticker:
		return &call{"/message/sendSticker/", sendSticker{to, file}}, nil
	case m.Type == gateway.TypeVoice:
		return &call{"/message/sendWhatsAppAudio/", sendAudio{to, file}}, nil
	}
	body := sendMedia{target: to, Kind: m.Type, Media: file, MIMEType: media.MIMEType, FileName: media.FileName, Caption: caption}
	if body.MIMEType == "" && media.Base64 != "" {
		body.MIMEType = sniff(media.Base64)
	}
	if _, _, err := mime.ParseMediaType(body.MIMEType); body.MIMEType != "" && err != nil {
		return nil, incomplete("The file's MIME type is none.")
	}
	if m.Type == gateway.TypeDocument && media.Base64 != "" {
		body.FileName = cmp.Or(body.FileName, "document") // the gateway looks for a name in the URL that is not there
	}
	return &call{"/message/sendMedia/", body}, nil
}

// fileOf returns what the gateway takes for a file.
func fileOf(media *gateway.Media) (string, *refusal) {
	switch {
	case media.URL != "" && media.Base64 != "":
		return "", incomplete("The file has both a URL and bytes of its own.")
	case media.URL != "" && !isWebURL(media.URL):
		return "", incomplete("The file's URL is not one of HTTP.")
	case media.URL != "":
		return media.URL, nil
	case media.Base64 == "":
		return "", incomplete("The file has neither a URL nor bytes.")
	case !isBase64(media.Base64):
		return "", incomplete("The file is not valid base64.")
	}
	return media.Base64, nil
}

// sniff returns the type that a file in base64 looks like.
func sniff(file string) string {
	const enough = 512 // bytes that are looked at
	head, err := io.ReadAll(io.LimitReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(file)), enough))
	if err != nil {
		return ""
	}
	return http.DetectContentType(head)
}
