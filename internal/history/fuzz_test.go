package history

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/testenv"
)

func FuzzParseCursor(f *testing.F) {
	for _, c := range []cursor{{at: time.UnixMicro(0)}, {at: time.Now(), n: 17, common: true}, {at: time.Now(), n: math.MinInt64}, {at: time.Unix(0, 0).AddDate(8000, 0, 0), n: math.MaxInt64}} {
		f.Add(c.String())
	}
	f.Add("")
	f.Add("MS4x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil {
			if fault.Of(err).Field != "cursor" {
				t.Errorf("error = %v, want one about the cursor", err)
			}
			return
		}
		again, err := parseCursor(c.String())
		if err != nil || !again.at.Equal(c.at) || again.n != c.n || again.common != c.common {
			t.Errorf("%q is %v, which encodes to %v, %v", s, c, again, err)
		}
	})
}

// A cursor that parses is one that PostgreSQL can compare with.
func TestPostgreSQLTakesEveryCursor(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	for _, at := range []int64{-200_000_000_000_000_000, 9_000_000_000_000_000_000, 0} {
		for _, n := range []int64{math.MinInt64, math.MaxInt64} {
			s := cursor{at: time.UnixMicro(at), n: n}.String()
			if _, _, err := New(pool).List(t.Context(), Filter{Cursor: s}); err != nil {
				t.Errorf("cursor at %d: %v", at, err)
			}
		}
	}
}

// Whatever people look for, PostgreSQL never finds an error in it.
func FuzzTSQuery(f *testing.F) {
	for _, seed := range []string{
		"hola", "a & b", "'", `\`, `\'`, "''", "a:*", "!!!", "<->", "(", ")", "a'b\\c", "\u00a0x", "🎉", "-", `"`, "a\u2028b", "&|!():*<>",
		strings.Repeat("a", 256), strings.Repeat("' ", 128), strings.Repeat(`\ `, 128), "a/b.c?d=e", "1e10", "a-b-c", "\x01",
	} {
		f.Add(seed)
	}
	pool := testenv.Pool(f)
	f.Fuzz(func(t *testing.T, q string) {
		if !utf8.ValidString(q) || strings.ContainsRune(q, 0) || len(q) > 256 {
			return // refused before
		}
		var nodes int
		if err := pool.QueryRow(t.Context(), "SELECT numnode(to_tsquery('simple', $1))", tsquery(strings.Fields(q))).Scan(&nodes); err != nil {
			t.Errorf("%q becomes %q: %v", q, tsquery(strings.Fields(q)), err)
		}
		// Every word finds itself.
		for word := range strings.FieldsSeq(q) {
			var found bool
			err := pool.QueryRow(t.Context(), `SELECT numnode(to_tsquery('simple', $2)) = 0 OR to_tsvector('simple', $1::text) @@ to_tsquery('simple', $2)`,
				word, tsquery([]string{word})).Scan(&found)
			if err != nil {
				t.Errorf("%q: %v", word, err)
			}
			if isPlain(word) && !found {
				t.Errorf("%q does not find itself by %q", word, tsquery([]string{word}))
			}
		}
	})
}

// isPlain reports whether a word is one for PostgreSQL's parser too, which
// takes some that have signs in them apart otherwise.
func isPlain(word string) bool {
	return strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == ""
}
