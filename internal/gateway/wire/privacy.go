package wire

import (
	"encoding/json"
	"strings"

	"github.com/msgorch/msgorch/internal/secret"
)

const maxReasonRunes = 300

// Privacy is what no reason may contain. The zero value knows no secrets and
// still masks numbers.
type Privacy struct {
	credential secret.Text
	texts      []string
}

// PrivacyOf keeps a credential and a message's texts private. The recipient is
// not among them, because the gateway may spell a number otherwise than we do:
// any long number is masked.
func PrivacyOf(credential secret.Text, texts ...string) Privacy {
	return Privacy{credential: credential, texts: texts}
}

// Reason returns one line for a person: an explanation, and behind it what the
// gateway said, unless that would tell something private.
func (p Privacy) Reason(explanation, said string) string {
	if said = p.quotable(said); said != "" {
		explanation += " (" + said + ")"
	}
	return FirstRunes(explanation, maxReasonRunes)
}

// quotable returns the words on one line with long numbers masked, or nothing at
// all when something private is in them: cut out, it would leave a riddle.
func (p Privacy) quotable(said string) string {
	if said = OneLine(said); said == "" || quotes(said, p.credential.Reveal()) {
		return ""
	}
	for _, text := range p.texts {
		if quotes(said, text) {
			return ""
		}
	}
	return MaskNumbers(said)
}

// quotes reports whether something private is in the words: as it is or as JSON,
// in full or shortened.
func quotes(said, private string) bool {
	asJSON, err := json.Marshal(private)
	if err != nil { // a string always marshals
		return true
	}
	for _, spelling := range []string{private, string(asJSON[1 : len(asJSON)-1])} {
		const enough = 16 // runes by which it is recognised
		if beginning := FirstRunes(OneLine(spelling), enough); beginning != "" && strings.Contains(said, beginning) {
			return true
		}
	}
	return false
}
