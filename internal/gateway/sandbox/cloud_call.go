package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// cloudCall is the body of POST /{phone_number_id}/messages: a message to send,
// or that one has been read.
type cloudCall struct {
	Product       string `json:"messaging_product"`
	RecipientType string `json:"recipient_type"`
	To            string `json:"to"`
	Recipient     string `json:"recipient"` // a business-scoped user id, instead of to
	Type          string `json:"type"`
	CallbackData  string `json:"biz_opaque_callback_data"`
	Context       *struct {
		MessageID string `json:"message_id"`
	} `json:"context"`

	Status    string    `json:"status"`
	MessageID string    `json:"message_id"`
	Typing    *struct{} `json:"typing_indicator"`

	Text struct {
		Body string `json:"body"`
	} `json:"text"`
	Image       *cloudMedia       `json:"image"`
	Video       *cloudMedia       `json:"video"`
	Audio       *cloudMedia       `json:"audio"`
	Document    *cloudMedia       `json:"document"`
	Sticker     *cloudMedia       `json:"sticker"`
	Location    *cloudPlace       `json:"location"`
	Contacts    []cloudCard       `json:"contacts"`
	Reaction    *cloudReaction    `json:"reaction"`
	Interactive *cloudInteractive `json:"interactive"`
	Template    *cloudTemplate    `json:"template"`

	raw json.RawMessage // nil if it is not JSON
}

type cloudMedia struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Caption string `json:"caption"`
}

type cloudPlace struct {
	Latitude  json.Number `json:"latitude"` // a decimal string will do
	Longitude json.Number `json:"longitude"`
}

type cloudCard struct {
	Name struct {
		Formatted string `json:"formatted_name"`
	} `json:"name"`
}

type cloudReaction struct {
	MessageID string `json:"message_id"`
}

type cloudInteractive struct {
	Type string `json:"type"`
	Body struct {
		Text string `json:"text"`
	} `json:"body"`
	Action struct {
		Button  string `json:"button"`
		Buttons []struct {
			Reply struct {
				ID    string `json:"id"`
				Title string `json:"title"`
			} `json:"reply"`
		} `json:"buttons"`
		Sections []struct {
			Rows []struct {
				ID    string `json:"id"`
				Title string `json:"title"`
			} `json:"rows"`
		} `json:"sections"`
	} `json:"action"`
}

type cloudTemplate struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
}

// readCloudCall reads as much of a request as can be read; problem is what Graph
// finds wrong with it, nil if nothing.
func (s *Server) readCloudCall(w http.ResponseWriter, r *http.Request, n *cloudNumber) (call *cloudCall, problem *verdict) {
	call = &cloudCall{}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return call, invalidCall(graphInvalid, "the request body cannot be read")
	}
	if json.Valid(data) {
		call.raw = data
	}
	if err := json.Unmarshal(data, call); err != nil {
		return call, invalidCall(graphInvalid, "%v", explain(err))
	}
	if call.Product != "whatsapp" {
		return call, invalidCall(graphInvalid, "The parameter messaging_product is required.")
	}
	if call.Status != "" {
		return call, call.checkMark()
	}
	if problem := call.checkAddress(); problem != nil {
		return call, problem
	}
	return call, s.checkContent(call, n)
}

func invalidCall(code int, format string, args ...any) *verdict {
	return new(refusalOf(OutcomeInvalid, code, fmt.Sprintf(format, args...)))
}

func (c *cloudCall) checkMark() *verdict {
	if c.Status != "read" {
		return invalidCall(graphInvalid, "Param status must be one of {READ}, not %q.", c.Status)
	}
	if c.MessageID == "" {
		return invalidCall(graphInvalid, "The parameter message_id is required.")
	}
	return nil
}

// The server of a business-scoped user id's JID.
const userServer = "@bsuid"

// jid returns the address of whom the message is for, and personServer alone
// for what is no address.
func (c *cloudCall) jid() string {
	switch {
	case c.RecipientType == "group":
		return strings.TrimSuffix(c.To, groupServer) + groupServer
	case c.To == "":
		return c.Recipient + userServer
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, c.To)
	return digits + personServer
}

// text returns what people read of the message first.
func (c *cloudCall) text() string {
	if m := c.media(); m != nil {
		return m.Caption
	}
	if c.Interactive != nil && c.Type == "interactive" {
		return c.Interactive.Body.Text
	}
	return c.Text.Body
}
