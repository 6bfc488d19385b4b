package main

import (
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTextsOfStrangersCannotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ give, want string }{
		"escape sequence": {"a\x1b[31mb\x1b]0;title\x07c", "a[31mb]0;titlec"},
		"lines and tabs":  {"a\r\nb\tc", "a  b c"},
		"C1 control":      {"a\u009bb", "ab"},
		"direction":       {"a\u202eb\u2066c", "abc"},
		"emoji":           {"👩‍👧 ¿Qué tal? 中文", "👩‍👧 ¿Qué tal? 中文"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, printable(tt.give)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLastColumnFillsTheTerminal(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"ID", "TEXT"}, {"1234", "añadido"}}
	for width, want := range map[int]int{0: 0, 80: 74, 22: 16, 10: leastRoom} {
		if got := roomForLast(rows, width); got != want {
			t.Errorf("width %d leaves %d, want %d", width, got, want)
		}
	}
	if got := cut("añadido", 4); got != "aña…" || utf8.RuneCountInString(got) != 4 {
		t.Errorf("cut = %q", got)
	}
}

func TestVersionsCompareByNumbers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		have string
		want bool
	}{{"6.2.0", false}, {"6.10.1", false}, {"7.0.15", false}, {"10.0", false}, {"6.0.16", true}, {"5.9", true}, {"6", true}, {"", true}}
	for _, tt := range tests {
		if got := older(tt.have, oldestRedis); got != tt.want {
			t.Errorf("older(%q) = %v, want %v", tt.have, got, tt.want)
		}
	}
}

func TestReachableIsWhereAProgramOnThisMachineConnects(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		":1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "localhost:1": "localhost:1", "10.0.0.7:1": "10.0.0.7:1",
	} {
		if got := reachable(give); got != want {
			t.Errorf("reachable(%q) = %q, want %q", give, got, want)
		}
	}
}
