package httpapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBrokenTextIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		raw  string
		want bool
	}{
		{`{"text":"Hola"}`, false},
		{`{"text":"¿Qué? 🎉"}`, false},
		{`"\ud83c\udf89"`, false},
		{`"\uD83C\uDF89"`, false},
		{`"\ud83c"`, true},
		{`"\udf89"`, true},
		{`"\udf89\ud83c"`, true},
		{`"\ud83c\ud83c\udf89"`, true},
		{`"\ud83c\udf89\udf89"`, true},
		{`"\ud83cx\udf89"`, true},
		{`"\ud83c\n\udf89"`, true},
		{`"\\ud83c"`, false},   // a backslash and some text
		{`"\\\ud83c"`, true},   // a backslash and half a pair
		{`"\\\\ud83c"`, false}, // two backslashes
		{`"\ufffd"`, false},    // that is what it says
		{`"�"`, false},
		{"\"\xff\"", true},
		{"\"\xed\xa0\x80\"", true},
		{`{"\ud83c":1}`, true},
		{`"\ud83`, false}, // no JSON at all: someone else says so
		{`"\u`, false},
		{`\`, false},
		{``, false},
		{`"\ud83c\u`, true},
		{`"\u0000"`, false},
	}
	for _, tt := range tests {
		if got := broken([]byte(tt.raw)); got != tt.want {
			t.Errorf("broken(%s) = %v, want %v", tt.raw, got, tt.want)
		}
	}
}

func TestTheFieldWithBrokenTextIsNamed(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"instance":"sales","to":"1","text":"\ud83c"}`:            "text",
		`{"metadata":{"a":["\ud83c"]},"text":"Hola"}`:              "metadata",
		`{"instance":"a\udf89","text":"\ud83c"}`:                   "instance",
		`{"instance":"sales","text":"\ud83c\udf89"}`:               "",
		"{\"instance\":\"sales\",\"text\":\"a\xff\",\"to\":\"1\"}": "text",
		`{"a":1,"\ud83c":"x"}`:                                     "text", // the name itself: there is none to give
	} {
		if got := brokenText([]byte(raw)); got != want {
			t.Errorf("brokenText(%s) = %q, want %q", raw, got, want)
		}
	}
}

// What is built from whole characters and halves of pairs is broken exactly
// when it has a half without its other.
func TestBrokenTextIsFoundAmongAnything(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	whole := []string{`a`, `\\`, `\n`, `\u00e9`, `\ud83c\udf89`, `\ufffd`, "é", "🎉", `\\u`, `\"`, `\/`, "d83c"}
	for range 20_000 {
		var text strings.Builder
		want, high := false, false // high: the last unit was a high half
		for range r.IntN(6) {
			switch r.IntN(5) {
			case 0:
				fmt.Fprintf(&text, `\u%04x`, 0xd800+r.IntN(0x400))
				want = want || high
				high = true
			case 1:
				fmt.Fprintf(&text, `\u%04X`, 0xdc00+r.IntN(0x400))
				want = want || !high
				high = false
			default:
				text.WriteString(whole[r.IntN(len(whole))])
				want = want || high
				high = false
			}
		}
		raw := `{"text":"` + text.String() + `"}`
		if got := broken([]byte(raw)); got != (want || high) {
			t.Fatalf("broken(%s) = %v, want %v", raw, got, want || high)
		}
	}
}

// encoding/json puts U+FFFD where text is broken: the reference.
func FuzzBroken(f *testing.F) {
	for _, seed := range []string{`{"text":"Hola"}`, `"\ud83c\udf89"`, `"\ud83c"`, `"\\ud83c"`, `["\udf89",{"a\ud800":1}]`, "\"\xff\"", `"\ud83c\u`, `{"a":"\u`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := broken(raw)
		brokenText(raw) // must not panic
		if !utf8.Valid(raw) {
			if !got {
				t.Errorf("broken(%q) = false, and it is not UTF-8", raw)
			}
			return
		}
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return
		}
		replaced := hasReplacement(v)
		if got && !replaced {
			t.Errorf("broken(%s) = true, and JSON reads it whole", raw)
		}
		said := strings.Contains(string(raw), "\uFFFD") || strings.Contains(strings.ToLower(string(raw)), `\ufffd`)
		if replaced && !said && !got {
			t.Errorf("broken(%s) = false, and JSON replaces a part", raw)
		}
	})
}

func hasReplacement(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "\uFFFD")
	case []any:
		return slices.ContainsFunc(v, hasReplacement)
	case map[string]any:
		for name, e := range v {
			if strings.Contains(name, "\uFFFD") || hasReplacement(e) {
				return true
			}
		}
	}
	return false
}
