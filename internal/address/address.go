// Package address knows the addresses of WhatsApp's users and groups, and when two
// of them are spellings of one number.
package address

import (
	"slices"
	"strings"
)

const phoneServer = "@s.whatsapp.net"

// Forms returns every JID under which WhatsApp may speak of the person with a
// phone number, the canonical one first: the one that WhatsApp itself gives to
// accounts of that country. Any spelling leads to the same forms. What is no
// JID of a phone number, or has only one spelling, is its own only form.
//
// Three countries have put a digit before mobile numbers, or taken it away, since
// people have WhatsApp accounts with them:
//
//   - Mexico dialled mobiles from abroad as +52 1 until the IFT's numbering plan
//     of 3 August 2019 dropped the 1. WhatsApp keeps it: 521 and ten digits.
//   - Argentina dials mobiles from abroad as +54 9 (ENACOM), and WhatsApp asks for
//     the 9 in its help on international numbers: 549 and ten digits.
//   - Brazil has put a 9 before mobile numbers, by area code from 2012 to 2016
//     (ANATEL, resolution 553/2010). WhatsApp has the 9 in area codes up to 28,
//     which had it first, and not in the others. Eight digits that begin with 2 to
//     5 are a landline's, and no mobile's without its 9.
func Forms(jid string) []string {
	digits, isPhone := strings.CutSuffix(jid, phoneServer)
	long, short := mobileForms(digits)
	if !isPhone || long == "" {
		return []string{jid}
	}
	forms := []string{long + phoneServer, short + phoneServer}
	if strings.HasPrefix(long, "55") && long[2:4] > "28" {
		slices.Reverse(forms)
	}
	return forms
}

// Of returns the canonical form of a JID: the first of its Forms. Every spelling of
// a number has the same.
func Of(jid string) string { return Forms(jid)[0] }

// SameNumber reports whether two JIDs may be two spellings of one phone number.
// Equal JIDs are, whatever they are.
func SameNumber(a, b string) bool { return Of(a) == Of(b) }

// Kind is what a JID is an address of.
type Kind int

// The zero value is Other: a group, a channel, or something unknown.
const (
	Other  Kind = iota
	Scoped      // a business-scoped user id of the Cloud API
	LID         // WhatsApp's own id of a user, which hides the number
	Phone
)

// KindOf returns what a JID is an address of. A larger kind is the better one to
// send to.
func KindOf(jid string) Kind {
	_, server, _ := strings.Cut(jid, "@")
	switch "@" + server {
	case phoneServer:
		return Phone
	case "@lid":
		return LID
	case "@bsuid":
		return Scoped
	}
	return Other
}

// mobileForms returns a number with and without its mobile digit; both are empty
// when it can have none.
func mobileForms(digits string) (long, short string) {
	if strings.Trim(digits, "0123456789") != "" {
		return "", ""
	}
	for _, rule := range []struct {
		country, mobile string
		at              int // where the mobile digit stands
	}{
		{"52", "1", 2},
		{"54", "9", 2},
		{"55", "9", 4},
	} {
		if !strings.HasPrefix(digits, rule.country) {
			continue
		}
		switch long, short = digits, digits; {
		case len(digits) == 13 && digits[rule.at:rule.at+1] == rule.mobile:
			short = digits[:rule.at] + digits[rule.at+1:]
		case len(digits) == 12:
			long = digits[:rule.at] + rule.mobile + digits[rule.at:]
		default:
			return "", ""
		}
		if rule.country == "55" && short[4] < '6' {
			return "", "" // a landline, or a mobile that never was without its 9
		}
		return long, short
	}
	return "", ""
}
