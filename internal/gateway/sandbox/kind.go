package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxFileBodyBytes bounds the body of a message with a file in it.
const maxFileBodyBytes = 32 << 20

// call is the body of a send, with the names that Evolution gives them in any of
// its calls.
type call struct {
	Number string `json:"number"`
	Quoted struct {
		Key keyCall `json:"key"`
	} `json:"quoted"`

	MediaType string `json:"mediatype"`
	Media     string `json:"media"`
	Audio     string `json:"audio"`
	Sticker   string `json:"sticker"`
	MIMEType  string `json:"mimetype"`
	FileName  string `json:"fileName"`
	Caption   string `json:"caption"`

	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name"` // of a location or poll
	Address   string  `json:"address"`

	Contacts []struct {
		Name  string `json:"fullName"`
		WAID  string `json:"wuid"`
		Phone string `json:"phoneNumber"`
		Email string `json:"email"`
	} `json:"contact"`

	Key      keyCall `json:"key"`
	Reaction string  `json:"reaction"`

	Choices int      `json:"selectableCount"`
	Options []string `json:"values"`

	Title       string `json:"title"`
	Description string `json:"description"`
	Footer      string `json:"footer"`
	Buttons     []struct {
		Type  string `json:"type"`
		Title string `json:"displayText"`
		ID    string `json:"id"`
	} `json:"buttons"`
	FooterText string    `json:"footerText"`
	Button     string    `json:"buttonText"`
	Sections   []section `json:"sections"`
}

type section struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type row struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	ID          string `json:"rowId"`
}

// says is what a call makes of a message.
type says struct {
	kind    string // messageType
	message any    // the message member
	text    string // what of it can be read
	held    *attachment
}

// kind is a call that sends something else than a text.
type kind struct {
	required []string
	read     func(c *call) (s says, problem any)
}

// kindOf returns the call of that name.
func kindOf(name string) (kind, bool) {
	switch name {
	case "sendMedia":
		return kind{[]string{"number", "mediatype"}, readMedia}, true
	case "sendWhatsAppAudio":
		return kind{[]string{"number"}, readAudio}, true
	case "sendSticker":
		return kind{[]string{"number"}, readSticker}, true
	case "sendLocation":
		return kind{[]string{"number", "latitude", "longitude", "name", "address"}, readLocation}, true
	case "sendContact":
		return kind{[]string{"number", "contact"}, readContact}, true
	case "sendReaction":
		return kind{[]string{"key", "reaction"}, readReaction}, true
	case "sendPoll":
		return kind{[]string{"number", "name", "selectableCount", "values"}, readPoll}, true
	case "sendButtons":
		return kind{[]string{"number"}, readButtons}, true
	case "sendList":
		return kind{[]string{"number", "title", "footerText", "buttonText", "sections"}, readList}, true
	}
	return kind{}, false
}

// sendKind takes a message that is no text. Kinds that the sandbox does not know
// are answered as by an account that cannot send them.
func (s *Server) sendKind(w http.ResponseWriter, r *http.Request) {
	k, known := kindOf(r.PathValue("kind"))
	if !known {
		s.guarded(func(w http.ResponseWriter, _ *http.Request, _ *instance) {
			writeRefusal(w, http.StatusBadRequest, []string{"Method not available"})
		})(w, r)
		return
	}
	e := s.newSent(r)
	held, problem := e.readKind(w, r, k)
	s.take(w, r, e, held, problem)
}

// readKind takes the message from the request and returns the file in it, and what
// Evolution finds wrong with it; nil if nothing.
func (e *sent) readKind(w http.ResponseWriter, r *http.Request, k kind) (held *attachment, problem any) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFileBodyBytes))
	if err != nil {
		return nil, []string{"request body cannot be read"}
	}
	if e.call = r.PathValue("kind"); len(data) <= maxBodyBytes/16 {
		e.request = data
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		e.request = nil
		return nil, []string{explain(err).Error()}
	}
	for _, name := range k.required {
		if value, ok := given[name]; !ok || string(value) == "null" {
			return nil, [][]string{{fmt.Sprintf("instance requires property %q", name)}}
		}
	}
	var c call
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, [][]string{{explain(err).Error()}}
	}
	e.number, e.quoted = c.Number, c.Quoted.Key.ID
	if slices.Contains(k.required, "key") {
		e.number = c.Key.RemoteJID
	}
	e.jid = jidOf(e.number)
	said, problem := k.read(&c)
	if problem != nil {
		return nil, problem
	}
	e.kind, e.text = said.kind, said.text
	if e.says, err = json.Marshal(said.message); err != nil {
		return nil, []string{err.Error()}
	}
	return said.held, nil
}

func readLocation(c *call) (says, any) {
	return says{kind: "locationMessage", message: map[string]any{"locationMessage": map[string]any{
		"degreesLatitude": c.Latitude, "degreesLongitude": c.Longitude, "name": c.Name, "address": c.Address,
	}}}, nil
}

func readReaction(c *call) (says, any) {
	if c.Key.ID == "" || c.Key.RemoteJID == "" {
		return says{}, [][]string{{`The "id" cannot be empty`}}
	}
	return says{kind: "reactionMessage", text: c.Reaction, message: map[string]any{"reactionMessage": map[string]any{
		"key": c.Key, "text": c.Reaction,
	}}}, nil
}

func readContact(c *call) (says, any) {
	type card struct {
		Name  string `json:"displayName"`
		VCard string `json:"vcard"`
	}
	var cards []card
	for _, p := range c.Contacts {
		if p.Name == "" || len(p.Phone) < 10 {
			return says{}, [][]string{{`The "fullName" or the "phoneNumber" is too short`}}
		}
		if p.WAID == "" {
			p.WAID, _, _ = strings.Cut(jidOf(p.Phone), "@")
		}
		lines := []string{
			"BEGIN:VCARD", "VERSION:3.0", "N:" + p.Name, "FN:" + p.Name,
			"item1.TEL;waid=" + p.WAID + ":" + p.Phone, "item1.X-ABLabel:Celular",
		}
		if p.Email != "" {
			lines = append(lines, "item2.EMAIL;type=INTERNET:"+p.Email)
		}
		cards = append(cards, card{p.Name, strings.Join(append(lines, "END:VCARD"), "\n")})
	}
	switch len(cards) {
	case 0:
		return says{}, [][]string{{"contact does not meet minimum length of 1"}}
	case 1:
		return says{kind: "contactMessage", message: map[string]any{"contactMessage": cards[0]}}, nil
	}
	return says{kind: "contactsArrayMessage", message: map[string]any{"contactsArrayMessage": map[string]any{
		"displayName": fmt.Sprint(len(cards), " contacts"), "contacts": cards,
	}}}, nil
}

func readPoll(c *call) (says, any) {
	if len(c.Options) < 2 || len(c.Options) > 10 {
		return says{}, [][]string{{"values does not meet minimum length of 2, or maximum length of 10"}}
	}
	type option struct {
		Name string `json:"optionName"`
	}
	var options []option
	for _, o := range c.Options {
		options = append(options, option{o})
	}
	return says{kind: "pollCreationMessageV3", text: c.Name, message: map[string]any{
		"messageContextInfo":    map[string]any{"messageSecret": indexed(make([]byte, 32))},
		"pollCreationMessageV3": map[string]any{"name": c.Name, "options": options, "selectableOptionsCount": c.Choices},
	}}, nil
}

func readButtons(c *call) (says, any) {
	switch {
	case len(c.Buttons) == 0:
		return says{}, []string{"At least one button is required"}
	case len(c.Buttons) > 3:
		return says{}, []string{"Maximum of 3 reply buttons allowed"}
	}
	type button struct {
		Name   string `json:"name"`
		Params string `json:"buttonParamsJson"`
	}
	var buttons []button
	for _, b := range c.Buttons {
		params, err := json.Marshal(map[string]string{"display_text": b.Title, "id": b.ID})
		if err != nil {
			return says{}, []string{err.Error()}
		}
		buttons = append(buttons, button{"quick_reply", string(params)})
	}
	text := "*" + c.Title + "*"
	if c.Description != "" {
		text += "\n\n" + c.Description
	}
	inside := map[string]any{
		"body":              map[string]string{"text": text},
		"nativeFlowMessage": map[string]any{"buttons": buttons, "messageParamsJson": `{"from":"api"}`},
	}
	if c.Footer != "" {
		inside["footer"] = map[string]string{"text": c.Footer}
	}
	return says{kind: "viewOnceMessage", text: text, message: map[string]any{
		"viewOnceMessage": map[string]any{"message": map[string]any{"interactiveMessage": inside}},
	}}, nil
}

func readList(c *call) (says, any) {
	if len(c.Sections) == 0 {
		return says{}, [][]string{{"sections does not meet minimum length of 1"}}
	}
	return says{kind: "listMessage", text: c.Description, message: map[string]any{"listMessage": map[string]any{
		"sections": c.Sections, "title": c.Title, "description": c.Description, "buttonText": c.Button, "listType": 1, "footerText": c.FooterText,
	}}}, nil
}
