// Package secret keeps credentials from being printed, and sealed while they
// rest in the database.
package secret

import "log/slog"

// Text is a credential that does not print itself: fmt, slog and JSON show
// "***". The zero value is no credential.
type Text string

const mask = "***"

// String implements fmt.Stringer.
func (Text) String() string { return mask }

// GoString implements fmt.GoStringer.
func (Text) GoString() string { return mask }

// LogValue implements slog.LogValuer.
func (Text) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalJSON implements json.Marshaler.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// Reveal returns the credential itself.
func (t Text) Reveal() string { return string(t) }
