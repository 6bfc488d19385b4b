package evolution

import (
	"cmp"
	"fmt"

	"github.com/msgorch/msgorch/internal/gateway"
)

// What WhatsApp can show at once.
const (
	maxReplyButtons = 3
	maxListSections = 10
	maxListRows     = 10 // of all sections together
)

// The bodies of the calls that let somebody choose.
type (
	sendButtons struct {
		target
		Title       string   `json:"title"`
		Description string   `json:"description,omitempty"`
		Footer      string   `json:"footer,omitempty"`
		Buttons     []button `json:"buttons"`
	}
	button struct {
		Type  string `json:"type"`
		Title string `json:"displayText"`
		ID    string `json:"id"`
	}
	sendList struct {
		target
		Title       string    `json:"title"`
		Description string    `json:"description,omitempty"`
		Footer      string    `json:"footerText"` // the gateway insists on it
		Button      string    `json:"buttonText"`
		Sections    []section `json:"sections"`
	}
	section struct {
		Title string `json:"title"`
		Rows  []row  `json:"rows"`
	}
	row struct {
		Title       string `json:"title"`
		Description string `json:"description,omitempty"` // the gateway refuses an empty one
		ID          string `json:"rowId"`
	}
)

// offer says buttons or a list. The message's text stands in for a body, and the
// body for the title that the gateway cannot do without.
func offer(to target, m gateway.Outgoing) (*call, *refusal) {
	i := m.Content.Interactive
	if i == nil {
		return nil, incomplete("The message has neither buttons nor a list.")
	}
	title, description := i.Header, cmp.Or(i.Body, m.Text)
	if description == "" {
		return nil, incomplete("Buttons and lists need a body.")
	}
	if title == "" {
		title, description = description, ""
	}
	switch i.Kind {
	case "buttons":
		buttons, refused := replyButtons(i.Buttons)
		if refused != nil {
			return nil, refused
		}
		return &call{"/message/sendButtons/", sendButtons{to, title, description, i.Footer, buttons}}, nil
	case "list":
		if i.Button == "" {
			return nil, incomplete("The list has no text on the button that opens it.")
		}
		sections, refused := listSections(i.Sections)
		if refused != nil {
			return nil, refused
		}
		return &call{"/message/sendList/", sendList{to, title, description, i.Footer, i.Button, sections}}, nil
	}
	return nil, &refusal{code: "content_unsupported"}
}

func replyButtons(buttons []gateway.Button) ([]button, *refusal) {
	if len(buttons) == 0 || len(buttons) > maxReplyButtons {
		return nil, incomplete(fmt.Sprintf("WhatsApp shows 1 to %d buttons, not %d.", maxReplyButtons, len(buttons)))
	}
	var out []button
	for _, b := range buttons {
		if b.ID == "" || b.Title == "" {
			return nil, incomplete("A button has no id or no title.")
		}
		out = append(out, button{"reply", b.Title, b.ID})
	}
	return out, nil
}

func listSections(sections []gateway.Section) ([]section, *refusal) {
	rows := 0
	var out []section
	for _, s := range sections {
		if s.Title == "" && len(sections) > 1 {
			return nil, incomplete("A section of several has no title.")
		}
		if len(s.Rows) == 0 {
			return nil, incomplete("A section has no rows.")
		}
		made := section{Title: s.Title}
		for _, r := range s.Rows {
			if r.ID == "" || r.Title == "" {
				return nil, incomplete("A row has no id or no title.")
			}
			made.Rows = append(made.Rows, row{r.Title, r.Description, r.ID})
		}
		rows += len(made.Rows)
		out = append(out, made)
	}
	if rows == 0 || rows > maxListRows || len(sections) > maxListSections {
		return nil, incomplete(fmt.Sprintf("WhatsApp shows 1 to %d rows in a list, not %d.", maxListRows, rows))
	}
	return out, nil
}
