package address_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/address"
)

func TestEverySpellingOfANumberLeadsToTheSameForms(t *testing.T) {
	t.Parallel()
	const at = "@s.whatsapp.net"
	tests := []struct {
		name string
		give []string
		want []string
	}{
		{"Mexico", []string{"5215550001001" + at, "525550001001" + at}, []string{"5215550001001" + at, "525550001001" + at}},
		{"Argentina", []string{"5491155550001" + at, "541155550001" + at}, []string{"5491155550001" + at, "541155550001" + at}},
		{"Brazil, with the 9", []string{"5511987654321" + at, "551187654321" + at}, []string{"5511987654321" + at, "551187654321" + at}},
		{"Brazil, up to area code 28", []string{"5528987654321" + at, "552887654321" + at}, []string{"5528987654321" + at, "552887654321" + at}},
		{"Brazil, without the 9", []string{"5531987654321" + at, "553187654321" + at}, []string{"553187654321" + at, "5531987654321" + at}},
	}
	for _, tt := range tests {
		for _, give := range tt.give {
			if diff := cmp.Diff(tt.want, address.Forms(give)); diff != "" {
				t.Errorf("%s: Forms(%s) (-want +got):\n%s", tt.name, give, diff)
			}
		}
		if !address.SameNumber(tt.give[0], tt.give[1]) {
			t.Errorf("%s: not the same number", tt.name)
		}
	}
}

func TestWhatHasOneSpellingIsItsOnlyForm(t *testing.T) {
	t.Parallel()
	for _, jid := range []string{
		"", "@s.whatsapp.net", "52@s.whatsapp.net", "5215550001001", "x215550001001@s.whatsapp.net", "34600000001@s.whatsapp.net",
		"15550001001@s.whatsapp.net", "521555000100@g.us", "5215550001001@lid", "525550001001@lid", "52155500010011@s.whatsapp.net",
		"551133334444@s.whatsapp.net",  // a landline in São Paulo
		"5511933334444@s.whatsapp.net", // a mobile that never was without its 9
		"5515550001001@s.whatsapp.net", // thirteen digits without a mobile digit where it would stand
		"5225550001001@s.whatsapp.net",
	} {
		if diff := cmp.Diff([]string{jid}, address.Forms(jid)); diff != "" {
			t.Errorf("Forms(%q) (-want +got):\n%s", jid, diff)
		}
		if !address.SameNumber(jid, jid) {
			t.Errorf("%q is not itself", jid)
		}
	}
	if address.SameNumber("551133334444@s.whatsapp.net", "5511933334444@s.whatsapp.net") {
		t.Error("a landline and a mobile are taken for one number")
	}
}

// Whatever it is given: it is among its own forms, and each of them has the same.
func FuzzForms(f *testing.F) {
	for _, seed := range []string{"5215550001001@s.whatsapp.net", "551187654321@s.whatsapp.net", "54@s.whatsapp.net", "\xff@lid", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, jid string) {
		forms := address.Forms(jid)
		if !slices.Contains(forms, jid) {
			t.Fatalf("Forms(%q) = %q, without itself", jid, forms)
		}
		for _, form := range forms {
			if diff := cmp.Diff(forms, address.Forms(form)); diff != "" {
				t.Fatalf("Forms(%q) and Forms(%q) differ:\n%s", jid, form, diff)
			}
		}
	})
}
