package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// CloudInbound is somebody writing to a number of the Cloud API.
type CloudInbound struct {
	PhoneNumberID string `json:"phone_number_id"` // whom they write to
	From          string `json:"from"`            // their phone number; empty: they hide it
	UserID        string `json:"user_id"`         // their business-scoped user id; empty: they have none
	Name          string `json:"name"`            // which they chose; default: "Sandbox +" and the number
	Username      string `json:"username"`        // may be empty
	// Message is a message as webhooks have it, such as {"type":"text","text":
	// {"body":"Hola"}}. Its from, from_user_id, id and timestamp are filled in
	// where it leaves them out: a known id makes a duplicate.
	Message json.RawMessage `json:"message"`
	File    *CloudUpload    `json:"file"` // what a message of a media type holds; nil if nothing
}

// CloudUpload is a file that comes along with a message to us. GET of its id
// serves it.
type CloudUpload struct {
	MIMEType string `json:"mime_type"`
	Content  []byte `json:"base64"`
}

// validate names the field that is wrong. It returns the message taken apart.
func (in *CloudInbound) validate() (message map[string]json.RawMessage, kind string, err error) {
	switch {
	case in.PhoneNumberID == "":
		return nil, "", wrong("phone_number_id", "is required")
	case in.From == "" && in.UserID == "":
		return nil, "", wrong("from", "is required, or user_id")
	case in.From != "" && !isDigits(in.From):
		return nil, "", wrong("from", "must be a phone number in digits")
	case strings.Contains(in.UserID, "@"):
		return nil, "", wrong("user_id", "must be a user id such as MX.13491208655302741918")
	case in.File != nil && in.File.MIMEType == "":
		return nil, "", wrong("file.mime_type", "is required")
	}
	if err := json.Unmarshal(in.Message, &message); err != nil || message == nil {
		return nil, "", wrong("message", "must be a JSON object")
	}
	if err := json.Unmarshal(message["type"], &kind); err != nil || kind == "" {
		return nil, "", wrong("message.type", "must be a string")
	}
	if _, ok := message[kind]; !ok && kind != "unsupported" && in.File == nil {
		return nil, "", wrong("message."+kind, "is required")
	}
	return message, kind, nil
}

func isDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// jid is the person's address: the phone number's if it is known.
func (in *CloudInbound) jid() string {
	if in.From == "" {
		return in.UserID + userServer
	}
	return in.From + personServer
}

// ReceiveOnCloud has somebody write to a registered number and returns the
// message's id. The webhook follows. The error names the field that is wrong.
func (s *Server) ReceiveOnCloud(in CloudInbound) (messageID string, err error) {
	fields, kind, err := in.validate()
	if err != nil {
		return "", err
	}
	n := s.cloud.get(in.PhoneNumberID)
	if n == nil {
		return "", wrong("phone_number_id", "is not registered")
	}
	if in.File != nil {
		if err := s.enclose(n, fields, kind, in.File); err != nil {
			return "", err
		}
	}
	messageID = "wamid.HBgN" + s.ids.next()
	for name, value := range map[string]string{
		"from": in.From, "from_user_id": in.UserID, "id": messageID, "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
	} {
		if _, given := fields[name]; !given && value != "" {
			fields[name] = quoted(value)
		}
	}
	m := &message{
		instance: s.instances.get(n.settings.Load().Instance), jid: in.jid(), id: textOf(fields["id"]),
		text: readable(fields[kind]), pushName: in.name(),
	}
	m.written, _ = strconv.ParseInt(textOf(fields["timestamp"]), 10, 64) // none: now
	encoded, err := json.Marshal(fields)
	if err != nil {
		return "", wrong("message", "is not valid JSON")
	}
	s.received.add(m)
	n.hear(m.jid)
	s.tell(&report{number: n, message: encoded, contact: in.contact(kind)}, time.Now(), nil)
	return m.id, nil
}

func (in *CloudInbound) name() string {
	return cmp.Or(in.Name, "Sandbox +"+cmp.Or(in.From, in.UserID))
}

// contact introduces the writer, which system messages do not.
func (in *CloudInbound) contact(kind string) *cloudContact {
	if kind == "system" {
		return nil
	}
	return &cloudContact{Profile: cloudProfile{in.name(), in.Username}, WAID: in.From, UserID: in.UserID}
}

// enclose keeps the file and names it in the message.
func (s *Server) enclose(n *cloudNumber, fields map[string]json.RawMessage, kind string, upload *CloudUpload) error {
	about := map[string]json.RawMessage{}
	if given, ok := fields[kind]; ok {
		if err := json.Unmarshal(given, &about); err != nil || about == nil {
			return wrong("message."+kind, "must be a JSON object")
		}
	}
	f := s.cloud.files.add(n, upload.MIMEType, upload.Content)
	for name, value := range map[string]string{
		"id": f.id, "mime_type": f.mimeType, "sha256": base64.StdEncoding.EncodeToString(f.sum[:]),
	} {
		about[name] = quoted(value)
	}
	encoded, err := json.Marshal(about)
	if err != nil {
		return wrong("message."+kind, "is not valid JSON")
	}
	fields[kind] = encoded
	return nil
}

func quoted(text string) json.RawMessage {
	encoded, err := json.Marshal(text)
	if err != nil { // a string always marshals
		return nil
	}
	return encoded
}

// textOf returns a JSON string's text; empty for anything else.
func textOf(raw json.RawMessage) string {
	var text string
	_ = json.Unmarshal(raw, &text) // then it stays empty
	return text
}

// readable returns what people read of a message's content first.
func readable(content json.RawMessage) string {
	var c struct{ Body, Caption, Emoji, Text string }
	_ = json.Unmarshal(content, &c) // what cannot be read stays empty
	return cmp.Or(c.Body, c.Caption, c.Emoji, c.Text)
}

func (s *Server) cloudInbound(w http.ResponseWriter, r *http.Request) {
	var in CloudInbound
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*maxFileBytes))
	if err != nil {
		writeError(w, wrong("body", "cannot be read: %v", err))
		return
	}
	if err := decodeStrict(data, &in); err != nil {
		writeError(w, err)
		return
	}
	id, err := s.ReceiveOnCloud(in)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"id": id})
}
