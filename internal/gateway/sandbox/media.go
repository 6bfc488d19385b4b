package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
)

func readMedia(c *call) (says, any) {
	switch c.MediaType {
	case "image", "video", "document", "audio":
	default:
		return says{}, [][]string{{"mediatype is not one of enum values: image,document,video,audio"}}
	}
	return hold(c.MediaType+"Message", c.Media, c, nil)
}

func readAudio(c *call) (says, any) {
	c.MIMEType = "audio/ogg; codecs=opus" // whatever it was, it is converted
	return hold("audioMessage", c.Audio, c, map[string]any{"seconds": 4, "ptt": true})
}

func readSticker(c *call) (says, any) {
	c.MIMEType = "image/webp"
	return hold("stickerMessage", c.Sticker, c, map[string]any{"isAnimated": false})
}

// hold makes a message with a file, which is given by its URL or in base64. More
// is what messages of that kind say beside what all of them do.
func hold(kind, media string, c *call, more map[string]any) (says, any) {
	f := &attachment{kind: kind, name: c.FileName, mimeType: cmp.Or(c.MIMEType, "application/octet-stream"), caption: c.Caption}
	content, err := base64.StdEncoding.DecodeString(media)
	switch u, isURL := url.Parse(media); {
	case isURL == nil && u.Host != "":
		content = []byte(media) // so that the checksum is of something
	case err != nil || media == "":
		return says{}, []string{"Owned media must be a url, base64, or valid file with buffer"}
	default:
		f.base64, f.bytes = media, len(content)
	}
	sum := sha256.Sum256(content)
	body := map[string]any{
		"url": "https://mmg.whatsapp.invalid/o1/v/t62/f1.enc", "directPath": "/o1/v/t62/f1.enc",
		"mimetype": f.mimeType, "fileLength": longOf(f.bytes),
		"fileSha256": indexed(sum[:]), "fileEncSha256": indexed(sum[:2]),
		"mediaKey": indexed(make([]byte, 32)), "mediaKeyTimestamp": longOf(1763880000),
	}
	for name, value := range map[string]string{"fileName": c.FileName, "caption": c.Caption} {
		if value != "" {
			body[name] = value
		}
	}
	maps.Copy(body, more)
	return says{kind: kind, text: c.Caption, message: map[string]any{kind: body}, held: f}, nil
}

// indexed writes bytes as Evolution does since 2.3.4: an object from index to
// number.
func indexed(content []byte) json.RawMessage {
	out := []byte{'{'}
	for i, b := range content {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strconv.AppendInt(append(out, '"'), int64(i), 10), `":`...)
		out = strconv.AppendInt(out, int64(b), 10)
	}
	return append(out, '}')
}

// longOf writes a number as Evolution does since 2.3.6.
func longOf(n int) long {
	return long{Low: int32(n), High: int32(n >> 32), Unsigned: true}
}
