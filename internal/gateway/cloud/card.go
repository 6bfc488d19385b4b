package cloud

import (
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// card is an entry of an address book.
type card struct {
	Name   fullName `json:"name"`
	Phones []phone  `json:"phones,omitempty"`
	Emails []email  `json:"emails,omitempty"`
}

// fullName has a part besides the whole because Meta asks for one.
type fullName struct {
	Formatted string `json:"formatted_name"`
	First     string `json:"first_name"`
}

type phone struct {
	Phone string `json:"phone"`
	WAID  string `json:"wa_id,omitempty"` // without it, WhatsApp offers to invite instead of to write
}

type email struct {
	Email string `json:"email"`
}

// enclose fills in entries of an address book. A vCard alone cannot be sent.
func (o *outgoing) enclose(cards []gateway.Card) *refusal {
	if len(cards) == 0 {
		return incomplete("The message has no contacts.")
	}
	for _, c := range cards {
		if c.Name == "" {
			return incomplete("A contact has no name.")
		}
		out := card{Name: fullName{Formatted: c.Name, First: c.Name}}
		for _, number := range c.Phones {
			out.Phones = append(out.Phones, phoneTo(number))
		}
		for _, address := range c.Emails {
			out.Emails = append(out.Emails, email{Email: address})
		}
		o.Contacts = append(o.Contacts, out)
	}
	return nil
}

// phoneTo names the WhatsApp account of a number that is in E.164.
func phoneTo(number string) phone {
	out := phone{Phone: number}
	if digits, ok := strings.CutPrefix(number, "+"); ok && wire.IsDigits(digits) {
		out.WAID = digits
	}
	return out
}
