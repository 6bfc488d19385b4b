package media_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/msgorch/msgorch/internal/media"
)

// stores are one of each kind, empty.
func stores(t *testing.T) map[string]*media.Store {
	t.Helper()
	backend := s3mem.New()
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	if err := backend.CreateBucket("files"); err != nil {
		t.Fatal(err)
	}
	keys := media.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", Region: "us-east-1"}
	return map[string]*media.Store{
		"path":   open(t, filepath.Join(t.TempDir(), "new", "media"), keys),
		"folder": open(t, "file://"+t.TempDir(), keys),
		"s3":     open(t, "s3://files/of/ours?endpoint="+server.URL, keys),
	}
}

func open(t *testing.T, address string, keys media.Credentials) *media.Store {
	t.Helper()
	s, err := media.Open(address, keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// each runs a test with every kind of store.
func each(t *testing.T, test func(*testing.T, *media.Store)) {
	t.Helper()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, s) })
	}
}

func content(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

func read(t *testing.T, s *media.Store, key string) []byte {
	t.Helper()
	file, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatIsPutIsFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		for _, n := range []int{1, 5<<20 - 1, 5 << 20, 5<<20 + 1, 12 << 20} {
			want := content(n)
			if err := s.Put(t.Context(), "ab/file", bytes.NewReader(want)); err != nil {
				t.Fatalf("put %d bytes: %v", n, err)
			}
			if got := read(t, s, "ab/file"); !bytes.Equal(want, got) {
				t.Errorf("of %d bytes %d came back, or others", n, len(got))
			}
		}
	})
}

func TestAFileCanBeReadFromTheMiddle(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		if err := s.Put(t.Context(), "ab/file", strings.NewReader("one two three")); err != nil {
			t.Fatal(err)
		}
		file, err := s.Open(t.Context(), "ab/file")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if end, err := file.Seek(0, io.SeekEnd); end != 13 || err != nil {
			t.Errorf("it ends at %d, %v, want 13", end, err)
		}
		if _, err := file.Seek(4, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(file); string(got) != "two three" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestWhatBreaksOffChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		if err := s.Put(t.Context(), "ab/file", strings.NewReader("before")); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("the line is dead")
		for _, n := range []int{10, 6 << 20} {
			err := s.Put(t.Context(), "ab/file", io.MultiReader(bytes.NewReader(content(n)), failing{broken}))
			if !errors.Is(err, broken) {
				t.Errorf("after %d bytes: error = %v, want the reader's", n, err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ended, "ab/file", strings.NewReader("after")); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		if got := read(t, s, "ab/file"); string(got) != "before" {
			t.Errorf("the file is %q now", got)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatIsDeletedIsGone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		if err := s.Put(t.Context(), "ab/file", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to delete
			if err := s.Delete(t.Context(), "ab/file"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Open(t.Context(), "ab/file"); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("error = %v, want ErrNotFound", err)
		}
	})
}

func TestNoKeyLeadsAnywhereElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		for _, key := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "A", "a b", "a\\b", "a\x00", "ñ"} {
			if s.Put(t.Context(), key, strings.NewReader("x")) == nil {
				t.Errorf("%q was taken for a key", key)
			}
			if _, err := s.Open(t.Context(), key); err == nil || errors.Is(err, media.ErrNotFound) {
				t.Errorf("%q was looked up: %v", key, err)
			}
		}
	})
}

func TestAStoreThatWorksPassesTheCheck(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *media.Store) {
		t.Helper()
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAStoreThatCannotWorkSaysSo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, filepath.Join(file, "below"), media.Credentials{}).Check(t.Context()); err == nil {
		t.Error("a folder inside a file passed")
	}
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	defer server.Close()
	s := open(t, "s3://nowhere?endpoint="+server.URL, media.Credentials{AccessKeyID: "key", SecretAccessKey: "s3cr3t", Region: "us-east-1"})
	if err := s.Check(t.Context()); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "ftp://x", "file://relative", "s3://", "s3://b?endpoint=host", "s3://b?endpoint=https://h/path", "s3://user:s3cr3t@b", "%zz"} {
		if _, err := media.Open(address, media.Credentials{}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
