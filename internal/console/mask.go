package console

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// mask shows a task's payload without what people wrote: an operator looks
// after queues, not into conversations. What it does not know it hides.
func mask(payload []byte) string {
	var v any
	if json.Unmarshal(payload, &v) != nil {
		return fmt.Sprintf("(%d bytes)", len(payload))
	}
	b, err := json.Marshal(masked(v))
	if err != nil {
		return fmt.Sprintf("(%d bytes)", len(payload))
	}
	return string(b)
}

// shown are the fields that tell an operator which work this is.
func shown(field string) bool {
	switch field {
	case "id", "batch", "instance", "event", "priority", "send_at", "expires_at", "reply_to":
		return true
	}
	return false
}

func masked(v any) any {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("(%d characters)", utf8.RuneCountInString(v))
	case map[string]any:
		for field, value := range v {
			if _, ok := value.(string); ok && shown(field) {
				continue
			}
			if field == "metadata" {
				v[field] = "(hidden)"
				continue
			}
			v[field] = masked(value)
		}
		return v
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
		return v
	}
	return v
}
