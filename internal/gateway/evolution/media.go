package evolution

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// readMedia reads a file. Its URL and keys are WhatsApp's and left out: the
// gateway finds the file by its message. Baileys and the Cloud channel name the
// same things differently.
func (c *content) readMedia(kind string, body wire.Object) {
	c.kind, c.text = kind, body.Text("caption")
	m := &gateway.Media{
		Kind:     kind,
		MIMEType: cmp.Or(line(body, "mimetype"), line(body, "mime_type")),
		FileName: cmp.Or(line(body, "fileName"), line(body, "filename")),
		SHA256:   cmp.Or(hashOf(body.Get("fileSha256")), hashOf(body.Get("sha256"))),
	}
	if kind == gateway.TypeDocument {
		m.FileName = cmp.Or(m.FileName, line(body, "title"))
	}
	if n, ok := numberOf(body.Get("fileLength")); ok && n > 0 {
		m.Bytes = n
	}
	if n, ok := numberOf(body.Get("seconds")); ok && 0 < n && n <= math.MaxInt32 {
		m.Seconds = int(n)
	}
	c.beside.Media = m
}

// findCopy looks beside a content for its file, for where the gateway has put it,
// and for what the gateway has heard in it.
func (c *content) findCopy(beside wire.Object) {
	if c.rest.Transcript == "" {
		c.rest.Transcript = wire.Sanitize(beside.Text("speechToText"), maxProseRunes)
	}
	if c.copied.Base64 == "" {
		if text := beside.Text("base64"); isBase64(text) {
			c.copied.Base64 = text
		}
	}
	if c.copied.URL == "" {
		if text := beside.Text("mediaUrl"); isWebURL(text) {
			c.copied.URL = text
		}
	}
}

// file returns the file of a message, for whoever fetches it; nil if it has none.
func (c content) file(messageID string) *gateway.Media {
	if c.beside.Media == nil {
		return nil
	}
	m := *c.beside.Media
	m.GatewayID, m.URL, m.Base64 = messageID, c.copied.URL, c.copied.Base64
	return &m
}

// maxHashBytes bounds a checksum. SHA-256 has half as many.
const maxHashBytes = 64

// hashOf returns a checksum as base64, whatever form the gateway gave it: base64,
// an array of numbers, an object from index to number, or a buffer of Node.js.
func hashOf(raw json.RawMessage) string {
	if text, ok := wire.Text(raw); ok {
		if sum, err := base64.StdEncoding.DecodeString(text); err != nil || len(sum) > maxHashBytes {
			return ""
		}
		return text
	}
	if o := wire.ObjectOf(raw); o != nil {
		if o.Text("type") != "Buffer" {
			return indexedHash(o)
		}
		raw = o.Get("data")
	}
	var sum []byte
	for element := range wire.Elements(raw) {
		b, ok := byteOf(element)
		if !ok || len(sum) == maxHashBytes {
			return ""
		}
		sum = append(sum, b)
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// indexedHash reads a checksum that is an object from index to number, in any
// order but without gaps.
func indexedHash(o wire.Object) string {
	var sum, known [maxHashBytes]byte
	for _, m := range o {
		i, err := strconv.Atoi(string(m.Name))
		b, ok := byteOf(m.Value)
		if err != nil || !ok || i < 0 || i >= min(len(o), maxHashBytes) || known[i] != 0 {
			return ""
		}
		sum[i], known[i] = b, 1
	}
	return base64.StdEncoding.EncodeToString(sum[:len(o)])
}

func byteOf(raw json.RawMessage) (byte, bool) {
	n, ok := wire.Number(raw)
	return byte(n), ok && 0 <= n && n <= math.MaxUint8
}

// isBase64 reports whether a text that may be large is base64 of something.
func isBase64(text string) bool {
	if text == "" {
		return false
	}
	_, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	return err == nil
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// readLocation reads a place. One without credible degrees is none.
func (c *content) readLocation(body wire.Object) bool {
	latitude, okLatitude := degrees(body.Get("degreesLatitude"), 90)
	longitude, okLongitude := degrees(body.Get("degreesLongitude"), 180)
	if !okLatitude || !okLongitude {
		return false
	}
	c.kind, c.text = gateway.TypeLocation, cmp.Or(body.Text("caption"), body.Text("comment"))
	c.beside.Location = &gateway.Location{
		Latitude: latitude, Longitude: longitude, Name: line(body, "name"), Address: line(body, "address"),
	}
	return true
}

// degrees reads an angle that is a number or a decimal string.
func degrees(raw json.RawMessage, most float64) (float64, bool) {
	text, ok := wire.Text(raw)
	if !ok {
		text = string(raw)
	}
	angle, err := strconv.ParseFloat(text, 64)
	return angle, err == nil && math.Abs(angle) <= most
}
