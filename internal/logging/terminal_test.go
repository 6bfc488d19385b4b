package logging

import (
	"io"
	"log/slog"
	"os"
	"testing"
)

func TestOnlyATerminalGetsTintByItself(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	read, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), pipe.Close() })
	tests := []struct {
		name, format string
		w            io.Writer
		wantJSON     bool
	}{
		{name: "terminal", format: "auto", w: terminal},
		{name: "terminal that asks for JSON", format: "json", w: terminal, wantJSON: true},
		{name: "pipe", format: "auto", w: pipe, wantJSON: true},
		{name: "pipe that asks for tint", format: "tint", w: pipe},
		{name: "no file", format: "auto", w: io.Discard, wantJSON: true},
	}
	for _, tt := range tests {
		h, err := newWriter(tt.w, tt.format)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := h.(*slog.JSONHandler); got != tt.wantJSON {
			t.Errorf("%s: JSON = %v, want %v", tt.name, got, tt.wantJSON)
		}
	}
}
