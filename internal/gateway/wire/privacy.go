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
	beginnings []string
}

// PrivacyOf keeps a credential and a message's texts private. The recipient is
// not among them, because the gateway may spell a number otherwise than we do:
// any long number is masked.
func PrivacyOf(credential secret.Text, texts ...string) Privacy {
	var p Privacy
	p.add(credential.Reveal())
	for _, text := range texts {
		p.add(text)
	}
	return p
}

func (p *Privacy) add(private string) {
	// The gateway may quote it as it is or as JSON, in full or shortened.
	asJSON, err := json.Marshal(private)
	if err != nil { // a string always marshals
		return
	}
	for _, spelling := range []string{private, string(asJSON[1 : len(asJSON)-1])} {
		const enough = 16 // runes by which it is recognised
		if beginning := FirstRunes(OneLine(spelling), enough); beginning != "" {
			p.beginnings = append(p.beginnings, beginning)
		}
	}
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
	said = OneLine(said)
	for _, private := range p.beginnings {
		if strings.Contains(said, private) {
			return ""
		}
	}
	return MaskNumbers(said)
}
