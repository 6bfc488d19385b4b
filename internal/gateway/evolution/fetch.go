package evolution

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// messageOf names a message to the gateway, which finds the file in it.
type messageOf struct {
	Message struct {
		Key struct {
			ID string `json:"id"`
		} `json:"key"`
	} `json:"message"`
}

// OpenMedia fetches a file that somebody sent, by the gateway's id of its message.
// The gateway answers with base64 in JSON, which is decoded as it is read. The
// caller closes the file, and bounds how much it reads of it: size is what the
// sender said, -1 if not told, and so is contentType; both may be wrong. The
// deadline of ctx counts for the reading too.
//
// It fails with fault.NotFound when the gateway does not know the message or has
// no file of it, and with fault.Unavailable when trying again may help.
func (s *Sender) OpenMedia(ctx context.Context, at gateway.Account, messageID string) (file io.ReadCloser, contentType string, size int64, err error) {
	if !wire.IsMessageID(messageID) {
		return nil, "", 0, gone("The gateway cannot have given this id to a message.")
	}
	var body messageOf
	body.Message.Key.ID = messageID
	p := wire.PrivacyOf(at.Credential)
	request, failed := newRequest(ctx, at, "/chat/getBase64FromMediaMessage/", body)
	if failed != nil {
		return nil, "", 0, failed.fault(p)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, "", 0, failure{verdict: verdict{gateway.Retry, "connect_failed"}, said: wire.Cause(err)}.fault(p)
	}
	defer func() {
		if err != nil {
			_ = response.Body.Close()
		}
	}()
	if response.StatusCode/100 != 2 {
		said, err := io.ReadAll(io.LimitReader(response.Body, maxRefusalBytes))
		if err != nil {
			said = nil // then only the status counts
		}
		return nil, "", 0, refusedFile(p, readReply(response.StatusCode, said), response.Header)
	}
	in := bufio.NewReaderSize(response.Body, 32<<10)
	about, ok := seekFile(in)
	if !ok {
		return nil, "", 0, fault.New(fault.Unavailable, "no_media", explain("no_media"))
	}
	if about == nil {
		return nil, "", 0, gone(explain("media_gone"))
	}
	size = -1
	if told, ok := numberOf(about.Object("size").Get("fileLength")); ok && told >= 0 {
		size = told
	}
	decoded := base64.NewDecoder(base64.StdEncoding, &stringReader{in: in})
	return struct {
		io.Reader
		io.Closer
	}{decoded, response.Body}, line(about, "mimetype"), size, nil
}

const (
	maxRefusalBytes = 64 << 10
	maxAboutBytes   = 64 << 10 // that come ahead of a file
)

// refusedFile says why there is no file.
func refusedFile(p wire.Privacy, r reply, header http.Header) *fault.Error {
	for _, phrase := range []string{"Message not found", "not of the media type", "does not contain downloadable media", "re-upload failed"} {
		if strings.Contains(r.words, phrase) {
			return gone(p.Reason(explain("media_gone"), r.words))
		}
	}
	f := failure{r.verdict(""), r.status, r.words}.fault(p).RetryAfter(r.retryAfter(header))
	if f.Code == "invalid_request" {
		f.Kind = fault.NotFound
	}
	return f
}

// fault says the same of a call that is not a send: nothing but the account's
// owner, or time, can help.
func (f failure) fault(p wire.Privacy) *fault.Error {
	return fault.New(fault.Unavailable, f.code, p.Reason(explain(f.code), f.said))
}

func gone(detail string) *fault.Error {
	return fault.New(fault.NotFound, "media_gone", detail)
}

// seekFile reads an answer up to the first byte of the text "base64" in it, and
// returns what was said before. Nothing but true means that there is no file, and
// false that the answer is none.
func seekFile(in *bufio.Reader) (about wire.Object, ok bool) {
	s := seeker{start: -1}
	for len(s.seen) < maxAboutBytes {
		c, err := in.ReadByte()
		if err != nil { // it has ended without a file
			return nil, json.Valid(s.seen)
		}
		if s.step(c) {
			next, err := in.Peek(1)
			if err != nil {
				return nil, false
			}
			before := append(s.seen[:len(s.seen)-1], "null}"...)
			if !json.Valid(before) || next[0] == '"' {
				return nil, json.Valid(before)
			}
			return wire.ObjectOf(before), true
		}
	}
	return nil, false
}

// seeker moves through JSON, of which it keeps what it has seen.
type seeker struct {
	seen    []byte
	depth   int
	start   int    // of the string that it is in; -1: in none
	escaped bool   // the last byte was a backslash in a string
	last    string // the last string, undecoded
	atFile  bool   // it is behind the name of the file
}

// step takes one byte, and reports whether that begins the file.
func (s *seeker) step(c byte) bool {
	s.seen = append(s.seen, c)
	if s.start >= 0 {
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.last, s.start = string(s.seen[s.start+1:len(s.seen)-1]), -1
		}
		return false
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		return false
	case '"':
		if s.atFile {
			return true
		}
		s.start = len(s.seen) - 1
	case '{', '[':
		s.depth++
	case '}', ']':
		s.depth--
	}
	s.atFile = c == ':' && s.depth == 1 && s.last == "base64"
	return false
}

// stringReader reads the inside of a JSON string up to its closing quote. Base64
// needs no escapes, but some encoders write "\/" for a slash.
type stringReader struct {
	in    *bufio.Reader
	ended bool
}

// Read implements io.Reader. A string without an end is io.ErrUnexpectedEOF.
func (r *stringReader) Read(p []byte) (n int, err error) {
	for n < len(p) && !r.ended {
		c, err := r.in.ReadByte()
		if err == nil && c == '"' {
			r.ended = true
			break
		}
		if err == nil && c == '\\' {
			if c, err = r.in.ReadByte(); err == nil && c != '/' {
				err = base64.CorruptInputError(n)
			}
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
		p[n] = c
		n++
	}
	if n == 0 && r.ended {
		return 0, io.EOF
	}
	return n, nil
}
