package cloud

import (
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// mixed is the event of a body that tells of more than one field, or of none.
const mixed = "cloud.webhook"

// Open implements gateway.Decoder. The event is "cloud." and the field that all
// changes have, such as "cloud.messages", or else "cloud.webhook". No instance
// is named: a body may tell of several, each by its phone_number_id. There are
// no secrets to overwrite.
func (Decoder) Open(body []byte) (gateway.Envelope, error) {
	top, err := open(body)
	if err != nil {
		return gateway.Envelope{}, err
	}
	return gateway.Envelope{Event: eventOf(top), Body: body}, nil
}

// open takes the body's outermost object apart.
func open(body []byte) (wire.Object, error) {
	top, err := wire.Open(body)
	if err != nil {
		return nil, err
	}
	if top.Text("object") != "whatsapp_business_account" {
		return nil, invalid("unknown_object", "The body is not about a WhatsApp business account.")
	}
	if !wire.IsArray(top.Get("entry")) {
		return nil, invalid("missing_entry", "The body has no list of entries.")
	}
	return top, nil
}

func eventOf(top wire.Object) string {
	event := ""
	for entry := range wire.Elements(top.Get("entry")) {
		for change := range wire.Elements(wire.ObjectOf(entry).Get("changes")) {
			field := wire.ObjectOf(change).Text("field")
			if !isField(field) || event != "" && event != field {
				return mixed
			}
			event = field
		}
	}
	if event == "" {
		return mixed
	}
	return "cloud." + event
}

// isField reports whether s can name a field: Meta's are lower case with
// underscores.
func isField(s string) bool {
	const longest = 64
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// isIgnored reports whether a field is one that Meta is known to send and that
// says nothing a message, chat or contact depends on.
func isIgnored(field string) bool {
	switch field {
	case "account_alerts", "account_review_update", "account_settings_update", "account_update",
		"automatic_events", "business_capability_update", "business_status_update", "calls", "flows",
		"group_lifecycle_update", "group_participants_update", "group_settings_update", "group_status_update",
		"message_template_components_update", "message_template_quality_update", "message_template_status_update",
		"messaging_handovers", "partner_solutions", "payment_configuration_update",
		"phone_number_name_update", "phone_number_quality_update", "security", "smb_app_state_sync",
		"template_category_update", "template_correct_category_detection", "tracking_events", "user_preferences":
		return true
	}
	return false
}

// invalid says that something cannot be used. The detail never quotes it.
func invalid(code, detail string) *fault.Error {
	return fault.New(fault.Invalid, code, detail)
}
