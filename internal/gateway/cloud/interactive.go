package cloud

import (
	"cmp"
	"fmt"

	"github.com/msgorch/msgorch/internal/gateway"
)

// What WhatsApp can show at once.
const (
	maxButtons  = 3
	maxSections = 10
	maxRows     = 10 // of all sections together
)

// interactive is buttons or a list.
type interactive struct {
	Type   string  `json:"type"` // button or list
	Header *header `json:"header,omitempty"`
	Body   words   `json:"body"`
	Footer *words  `json:"footer,omitempty"`
	Action action  `json:"action"`
}

type header struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type words struct {
	Text string `json:"text"`
}

type action struct {
	Buttons  []button  `json:"buttons,omitempty"`
	Button   string    `json:"button,omitempty"` // what opens the list
	Sections []section `json:"sections,omitempty"`
}

type button struct {
	Type  string `json:"type"`
	Reply row    `json:"reply"`
}

type section struct {
	Title string `json:"title,omitempty"`
	Rows  []row  `json:"rows"`
}

type row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// offer fills in buttons or a list. The message's text stands in for a body.
func (o *outgoing) offer(i *gateway.Interactive, text string) *refusal {
	if i == nil {
		return incomplete("The message has neither buttons nor a list.")
	}
	out := &interactive{Body: words{Text: cmp.Or(i.Body, text)}}
	if out.Body.Text == "" {
		return incomplete("Buttons and lists need a body.")
	}
	if i.Header != "" {
		out.Header = &header{Type: "text", Text: i.Header}
	}
	if i.Footer != "" {
		out.Footer = &words{Text: i.Footer}
	}
	o.Interactive = out
	switch i.Kind {
	case "buttons":
		return out.addButtons(i.Buttons)
	case "list":
		return out.addList(i.Button, i.Sections)
	}
	return refuse(gateway.Permanent, "content_unsupported")
}

func (i *interactive) addButtons(buttons []gateway.Button) *refusal {
	if len(buttons) == 0 || len(buttons) > maxButtons {
		return incomplete(fmt.Sprintf("WhatsApp shows 1 to %d buttons, not %d.", maxButtons, len(buttons)))
	}
	i.Type = "button"
	for _, b := range buttons {
		if b.ID == "" || b.Title == "" {
			return incomplete("A button has no id or no title.")
		}
		i.Action.Buttons = append(i.Action.Buttons, button{Type: "reply", Reply: row{ID: b.ID, Title: b.Title}})
	}
	return nil
}

func (i *interactive) addList(opener string, sections []gateway.Section) *refusal {
	if opener == "" {
		return incomplete("The list has no text on the button that opens it.")
	}
	i.Type, i.Action.Button = "list", opener
	rows := 0
	for _, s := range sections {
		if s.Title == "" && len(sections) > 1 {
			return incomplete("A section of several has no title.")
		}
		out := section{Title: s.Title}
		for _, r := range s.Rows {
			if r.ID == "" || r.Title == "" {
				return incomplete("A row has no id or no title.")
			}
			out.Rows = append(out.Rows, row{ID: r.ID, Title: r.Title, Description: r.Description})
		}
		if len(out.Rows) == 0 {
			return incomplete("A section has no rows.")
		}
		rows += len(out.Rows)
		i.Action.Sections = append(i.Action.Sections, out)
	}
	if rows == 0 || rows > maxRows || len(sections) > maxSections {
		return incomplete(fmt.Sprintf("WhatsApp shows 1 to %d rows in a list, not %d.", maxRows, rows))
	}
	return nil
}
