package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"
)

// DotEnv returns a getenv that looks in dir/.env for what the given one does
// not have or has empty: real variables win. A missing file is an empty one.
// The error names the file and, when the file is malformed, the line; never
// what stands there.
func DotEnv(dir string, getenv func(string) string) (func(string) string, error) {
	name := filepath.Join(dir, ".env")
	text, err := os.ReadFile(name) //nolint:gosec // the program names its own folder
	if errors.Is(err, fs.ErrNotExist) {
		return getenv, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(text)+"\n", "\n") // godotenv takes a last line without = for a value
	values, err := godotenv.Unmarshal(strings.Join(lines, ""))
	if err != nil {
		return nil, fmt.Errorf("%s: line %d is malformed, want NAME=value with every quote closed", name, badLine(lines))
	}
	return func(key string) string {
		if v := getenv(key); v != "" {
			return v
		}
		return values[key]
	}, nil
}

// badLine returns the number of the line, from 1, where the part begins that
// godotenv cannot read. Its own errors do not say, and quote values.
func badLine(lines []string) int {
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:n], "")); err == nil {
			return n + 1
		}
	}
	return 1
}
