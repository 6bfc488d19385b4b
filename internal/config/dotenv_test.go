package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/config"
)

// dotEnv returns a folder whose .env has the given text.
func dotEnv(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRealVariablesWinOverDotEnv(t *testing.T) {
	t.Parallel()
	dir := dotEnv(t, "# a comment\nREAL=file\nEMPTY=file\nFILE='p$ss #word'\nexport QUOTED=\"two\\nlines\"\nLAST=file")

	getenv, err := config.DotEnv(dir, from(map[string]string{"REAL": "real", "EMPTY": ""}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"REAL": "real", "EMPTY": "file", "FILE": "p$ss #word", "QUOTED": "two\nlines", "LAST": "file", "NOWHERE": "",
	} {
		if got := getenv(name); got != want {
			t.Errorf("getenv(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestDotEnvMayBeMissing(t *testing.T) {
	t.Parallel()

	getenv, err := config.DotEnv(t.TempDir(), from(map[string]string{"REAL": "real"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := getenv("REAL"); got != "real" {
		t.Errorf("getenv = %q, want real", got)
	}
}

func TestUnreadableDotEnvIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}

	if _, err := config.DotEnv(dir, from(nil)); err == nil {
		t.Error("a folder passes for a file")
	}
}

func TestMalformedDotEnvNamesFileAndLineButNoValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"no name at all", "hunter2", "line 1 "},
		{"no equals sign", "A=1\n\n# comment\nhunter2\nB=2\n", "line 4 "},
		{"bad name", "A=1\nB-C=hunter2\n", "line 2 "},
		{"open quote", "A=1\nB=\"hunter2\nC=3\n", "line 2 "},
		{"open quote after a long value", "A=\"1\n2\n3\"\nB='hunter2", "line 4 "},
		{"carriage returns", "A=1\r\nB='hunter2\r\n", "line 2 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			_, err := config.DotEnv(dotEnv(t, tt.text), from(nil))
			if err == nil {
				t.Fatal("DotEnv accepted it")
			}
			got := err.Error()
			if !strings.Contains(got, ".env: ") || !strings.Contains(got, tt.want) {
				t.Errorf("error %q does not name .env and %q", got, tt.want)
			}
			if strings.Contains(got, "hunter2") || strings.Contains(got, "\n") {
				t.Errorf("error %q has the value or a second line", got)
			}
		})
	}
}
