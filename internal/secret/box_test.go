package secret_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/secret"
)

const (
	sales            = "instance:sales:credential"
	sealedByRelease1 = "0159804be103e0f5e090cb4fe37a860b9d34367e3660165a87013973d4617d8cd9e949a830b6a13a"
)

// newBox returns a box whose key is 32 times fill.
func newBox(tb testing.TB, fill byte) *secret.Box {
	tb.Helper()
	box, err := secret.NewBox(bytes.Repeat([]byte{fill}, secret.KeyBytes))
	if err != nil {
		tb.Fatal(err)
	}
	return box
}

// seal seals t as the credential of sales.
func seal(tb testing.TB, box *secret.Box, t secret.Text) []byte {
	tb.Helper()
	sealed, err := box.Seal(sales, t)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	t.Parallel()
	for _, want := range []secret.Text{"", "x", "hunter2", secret.Text(strings.Repeat("ñ", 10_000))} {
		sealed := seal(t, newBox(t, 1), want)

		got, err := newBox(t, 1).Open(sales, sealed) // another process with the same key
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Reveal(), got.Reveal()); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
		if len(want) > 4 && bytes.Contains(sealed, []byte(want)) {
			t.Errorf("%q can be read in the sealed bytes", want.Reveal())
		}
	}
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	t.Parallel()
	box := newBox(t, 1)

	if bytes.Equal(seal(t, box, "hunter2"), seal(t, box, "hunter2")) {
		t.Error("equal credentials can be told from their sealed bytes")
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	sealed := seal(t, newBox(t, 1), "hunter2")
	flip := func(i int) []byte {
		damaged := slices.Clone(sealed)
		damaged[i] ^= 1
		return damaged
	}
	tests := []struct {
		name    string
		box     *secret.Box
		context string
		sealed  []byte
		want    error
	}{
		{"another key", newBox(t, 2), sales, sealed, secret.ErrWrongKey},
		{"another row", newBox(t, 1), "instance:support:credential", sealed, secret.ErrCorrupt},
		{"another version", newBox(t, 1), sales, flip(0), secret.ErrCorrupt},
		{"key id damaged", newBox(t, 1), sales, flip(4), secret.ErrWrongKey},
		{"nonce damaged", newBox(t, 1), sales, flip(5), secret.ErrCorrupt},
		{"text damaged", newBox(t, 1), sales, flip(len(sealed) - 17), secret.ErrCorrupt},
		{"tag damaged", newBox(t, 1), sales, flip(len(sealed) - 1), secret.ErrCorrupt},
		{"end missing", newBox(t, 1), sales, sealed[:len(sealed)-1], secret.ErrCorrupt},
		{"too short", newBox(t, 1), sales, sealed[:6], secret.ErrCorrupt},
		{"nothing", newBox(t, 1), sales, nil, secret.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			got, err := tt.box.Open(tt.context, tt.sealed)

			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if got != "" {
				t.Errorf("text = %q besides an error", got.Reveal())
			}
		})
	}
}

func TestWithoutKeyNothingIsSealedOrOpened(t *testing.T) {
	t.Parallel()
	sealed := seal(t, newBox(t, 1), "hunter2")
	none, err := secret.NewBox(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, box := range []*secret.Box{none, {}} {
		if _, err := box.Seal(sales, "hunter2"); !errors.Is(err, secret.ErrNoKey) {
			t.Errorf("Seal error = %v, want ErrNoKey", err)
		}
		if _, err := box.Open(sales, sealed); !errors.Is(err, secret.ErrNoKey) {
			t.Errorf("Open error = %v, want ErrNoKey", err)
		}
	}
	if !strings.HasPrefix(secret.ErrNoKey.Error(), "SECRET_KEY is not set") {
		t.Errorf("ErrNoKey = %q, which does not name the variable", secret.ErrNoKey)
	}
}

func TestKeyOfAnotherLengthIsRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 16, 31, 33} {
		if _, err := secret.NewBox(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is accepted", n)
		}
	}
}

// The format is a promise: what an earlier release sealed must open.
func TestSealedFormat(t *testing.T) {
	t.Parallel()
	sealed, err := hex.DecodeString(sealedByRelease1)
	if err != nil {
		t.Fatal(err)
	}

	got, err := newBox(t, 1).Open(sales, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reveal() != "hunter2" {
		t.Errorf("text = %q, want hunter2", got.Reveal())
	}
}

// Bytes from the database never panic, and only Seal makes what Open accepts.
func FuzzOpen(f *testing.F) {
	box := newBox(f, 1)
	good := seal(f, box, "hunter2")
	for _, n := range []int{0, 1, 5, 17, 32, 33, len(good) - 1} {
		f.Add(sales, good[:n])
	}
	f.Add("", good)
	f.Fuzz(func(t *testing.T, context string, sealed []byte) {
		if text, err := box.Open(context, sealed); err == nil {
			t.Errorf("Open(%q, %x) = %q", context, sealed, text.Reveal())
		}
	})
}
