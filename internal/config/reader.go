package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/secret"
)

// reader reads variables and collects the mistakes in them.
//
// Each kind of variable has a method. A default that is not empty is the
// example in complaints, too. After a mistake the method returns a zero value,
// as nobody will use it.
type reader struct {
	getenv   func(string) string
	required []string
	mistakes []error
}

// value returns the variable, or fallback if it is not set.
func (r *reader) value(name, fallback string) string {
	if v := strings.TrimSpace(r.getenv(name)); v != "" {
		return v
	}
	return fallback
}

// fail records a mistake. Neither text may contain the value.
func (r *reader) fail(name, wrong, example string) {
	r.mistakes = append(r.mistakes, fmt.Errorf("%s: %s, example: %s=%s", name, wrong, name, example))
}

// read passes the variable through parse, whose error completes the sentence
// "NAME: …" without quoting the value. A variable without value is not parsed.
func read[T any](r *reader, name, fallback, example string, parse func(string) (T, error)) T {
	var zero T
	v := r.value(name, fallback)
	if v == "" {
		if slices.Contains(r.required, name) {
			r.fail(name, "is not set", example)
		}
		return zero
	}
	parsed, err := parse(v)
	if err != nil {
		r.fail(name, err.Error(), example)
		return zero
	}
	return parsed
}

func (r *reader) text(name, fallback string) string {
	return read(r, name, fallback, "…", func(s string) (string, error) { return s, nil })
}

func (r *reader) choice(name, fallback string, others ...string) string {
	choices := append([]string{fallback}, others...)
	return read(r, name, fallback, fallback, func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", errors.New("must be one of " + strings.Join(choices, ", "))
		}
		return s, nil
	})
}

func (r *reader) boolean(name, fallback string) bool {
	return read(r, name, fallback, fallback, func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("must be true or false")
		}
		return b, nil
	})
}

func (r *reader) number(name, fallback string, least, most int) int {
	return read(r, name, fallback, fallback, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		return n, nil
	})
}

func (r *reader) duration(name, fallback string, least, most time.Duration) time.Duration {
	return read(r, name, fallback, fallback, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("must be a duration from %v to %v", least, most)
		}
		return d, nil
	})
}

// weights reads queue=weight pairs. The queues of fallback are all there are.
func (r *reader) weights(name, fallback string) map[string]int {
	known, err := parseWeights(fallback, nil)
	if err != nil {
		r.fail(name, "has a broken default", fallback)
		return nil
	}
	return read(r, name, fallback, fallback, func(s string) (map[string]int, error) {
		return parseWeights(s, known)
	})
}

// days reads kind=days pairs, zero meaning for ever. The kinds of fallback are
// all there are; those that are left out have its days.
func (r *reader) days(name, fallback string) map[string]time.Duration {
	usual, err := parseDays(fallback, nil)
	if err != nil {
		r.fail(name, "has a broken default", fallback)
		return nil
	}
	return read(r, name, fallback, fallback, func(s string) (map[string]time.Duration, error) {
		return parseDays(s, usual)
	})
}

// token reads a password that somebody must not be able to guess.
func (r *reader) token(name string) secret.Text {
	const least = 16
	return read(r, name, "", "$(openssl rand -base64 32)", func(s string) (secret.Text, error) {
		if utf8.RuneCountInString(s) < least {
			return "", fmt.Errorf("must have at least %d characters", least)
		}
		return secret.Text(s), nil
	})
}

// key reads the sealing key.
func (r *reader) key(name string) []byte {
	return read(r, name, "", "$(openssl rand -base64 32)", func(s string) ([]byte, error) {
		key, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(key) != secret.KeyBytes {
			return nil, fmt.Errorf("must be %d bytes in base64", secret.KeyBytes)
		}
		return key, nil
	})
}

func (r *reader) host(name, fallback string) string {
	return read(r, name, fallback, fallback, func(s string) (string, error) {
		if !validHost(s) {
			return "", errors.New("must be a host name or address without port")
		}
		return s, nil
	})
}

// address reads a host:port to listen on.
func (r *reader) address(name, fallback string) string {
	return read(r, name, fallback, fallback, parseListenAddr)
}

// baseURL reads the URL of an HTTP server; example is not a default.
func (r *reader) baseURL(name, example string) string {
	return read(r, name, "", example, parseBaseURL)
}

func (r *reader) database(name string) string {
	return read(r, name, "", "postgres://user:password@127.0.0.1:5432/msgorch", parseDatabaseURL)
}

func (r *reader) redis(name, fallback string) asynq.RedisConnOpt {
	return read(r, name, fallback, fallback, parseRedisURL)
}
