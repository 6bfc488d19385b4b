package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// report is one thing to tell of a number: a message or a status. It never
// changes.
type report struct {
	number  *cloudNumber
	contact *cloudContact   // of a message; nil if it has none
	message json.RawMessage // nil for a status
	status  *cloudStatus    // nil for a message
}

type cloudBody struct {
	Object  string       `json:"object"`
	Entries []cloudEntry `json:"entry"`
}

type cloudEntry struct {
	ID      string        `json:"id"`
	Changes []cloudChange `json:"changes"`
}

type cloudChange struct {
	Value cloudValue `json:"value"`
	Field string     `json:"field"`
}

type cloudValue struct {
	Product  string            `json:"messaging_product"`
	Metadata cloudMetadata     `json:"metadata"`
	Contacts []*cloudContact   `json:"contacts,omitempty"`
	Messages []json.RawMessage `json:"messages,omitempty"`
	Statuses []*cloudStatus    `json:"statuses,omitempty"`
}

type cloudMetadata struct {
	Display string `json:"display_phone_number"`
	ID      string `json:"phone_number_id"`
}

type cloudContact struct {
	Profile cloudProfile `json:"profile"`
	WAID    string       `json:"wa_id,omitempty"`
	UserID  string       `json:"user_id,omitempty"`
}

type cloudProfile struct {
	Name     string `json:"name"`
	Username string `json:"username,omitempty"`
}

type cloudStatus struct {
	ID            string             `json:"id"`
	Status        string             `json:"status"`
	Timestamp     string             `json:"timestamp"`
	Recipient     string             `json:"recipient_id,omitempty"`
	RecipientUser string             `json:"recipient_user_id,omitempty"`
	RecipientType string             `json:"recipient_type,omitempty"` // group, or nothing
	Conversation  *cloudConversation `json:"conversation,omitempty"`
	Pricing       *cloudPricing      `json:"pricing,omitempty"`
	CallbackData  string             `json:"biz_opaque_callback_data,omitempty"`
}

type cloudConversation struct {
	ID      string      `json:"id"`
	Expires string      `json:"expiration_timestamp,omitempty"` // Unix seconds; only of what was sent
	Origin  cloudOrigin `json:"origin"`
}

type cloudOrigin struct {
	Type string `json:"type"`
}

type cloudPricing struct {
	Billable bool   `json:"billable"`
	Model    string `json:"pricing_model"`
	Category string `json:"category"`
	Type     string `json:"type"`
}

// What a status can say.
const (
	cloudStatusSent      = "sent"
	cloudStatusDelivered = "delivered"
	cloudStatusRead      = "read"
)

// statusOf is the report of how far e has come.
func statusOf(n *cloudNumber, e *sent, status string, at time.Time) *report {
	st := &cloudStatus{
		ID: e.id, Status: status, Timestamp: strconv.FormatInt(at.Unix(), 10), CallbackData: e.cloud.CallbackData,
	}
	switch name, server, _ := strings.Cut(e.jid, "@"); "@" + server {
	case userServer:
		st.RecipientUser = name
	case groupServer:
		st.Recipient, st.RecipientType = name, "group"
	default:
		st.Recipient = name
	}
	if status == cloudStatusRead { // of which nothing is charged
		return &report{number: n, status: st}
	}
	category, pricing := "service", cloudPricing{Model: "PMP", Type: "free_customer_service"}
	if e.cloud.Type == "template" {
		category, pricing.Billable, pricing.Type = "utility", true, "regular"
	}
	pricing.Category = category
	st.Pricing = &pricing
	st.Conversation = &cloudConversation{ID: "c" + e.id, Origin: cloudOrigin{category}}
	if status == cloudStatusSent {
		st.Conversation.Expires = strconv.FormatInt(at.Add(serviceWindow).Unix(), 10)
	}
	return &report{number: n, status: st}
}

// compose makes one body of reports, in their order. How they share entries,
// changes and values is left to the dice, because it means nothing.
func (s *Server) compose(reports []*report) ([]byte, error) {
	body := cloudBody{Object: "whatsapp_business_account"}
	for i, r := range reports {
		settings := r.number.settings.Load()
		apart := 0.0
		if i > 0 && reports[i-1].number == r.number {
			apart = s.dice.roll()
		}
		if i == 0 || reports[i-1].number != r.number || apart > 2.0/3 {
			body.Entries = append(body.Entries, cloudEntry{ID: settings.BusinessAccountID})
		}
		entry := &body.Entries[len(body.Entries)-1]
		if len(entry.Changes) == 0 || apart > 1.0/3 {
			entry.Changes = append(entry.Changes, cloudChange{Field: "messages", Value: cloudValue{
				Product: "whatsapp", Metadata: cloudMetadata{settings.DisplayPhoneNumber, r.number.id},
			}})
		}
		entry.Changes[len(entry.Changes)-1].Value.add(r)
	}
	plain := new(bytes.Buffer)
	encoder := json.NewEncoder(plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return nil, err
	}
	return escapeAsMeta(bytes.TrimSuffix(plain.Bytes(), []byte("\n"))), nil
}

func (v *cloudValue) add(r *report) {
	if r.status != nil {
		v.Statuses = append(v.Statuses, r.status)
		return
	}
	v.Messages = append(v.Messages, r.message)
	if r.contact != nil {
		v.Contacts = append(v.Contacts, r.contact)
	}
}

// escapeAsMeta rewrites valid JSON as Meta writes it: nothing but ASCII, and
// every slash behind a backslash. Outside of strings there is neither.
func escapeAsMeta(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\\': // what follows is escaped already
			out = append(out, c, text[i+1])
			i += 2
		case c == '/':
			out = append(out, '\\', c)
			i++
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRune(text[i:])
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
			i += size
		}
	}
	return out
}
