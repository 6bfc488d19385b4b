package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/fault"
)

// maxRowBytes bounds what is read for one row: without it a quote that nobody
// closed would pull the rest of the file into memory.
const maxRowBytes = 1 << 20

const byteOrderMark = "\ufeff"

// sheet reads a CSV file row by row.
type sheet struct {
	columns []string // what the header names
	csv     *csv.Reader
	source  *bounded
}

// sheetRow is a line of the file below its header; err says that it cannot be
// read as one.
type sheetRow struct {
	line   int // where it begins; the header is line 1
	fields []string
	err    error
}

// readSheet reads the header, which also tells whether commas or semicolons
// separate the columns.
func readSheet(file io.Reader) (*sheet, error) {
	source := &bounded{from: file, left: maxRowBytes}
	lines := bufio.NewReaderSize(source, 64<<10)
	first, err := lines.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the header of the file: %w", err)
	}
	first = bytes.TrimPrefix(bytes.Clone(first), []byte(byteOrderMark))
	if !utf8.Valid(first) {
		return nil, errors.New("the file is not in UTF-8; save it as CSV in UTF-8")
	}
	s := &sheet{csv: csv.NewReader(io.MultiReader(bytes.NewReader(first), lines)), source: source}
	s.csv.Comma = separatorOf(string(first))
	header, err := s.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; its first line must name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("read the header of the file: %w", err)
	}
	for _, name := range header {
		name = strings.TrimSpace(name)
		if name != "" && slices.Contains(s.columns, name) {
			return nil, fmt.Errorf("the header of the file names the column %q twice", name)
		}
		s.columns = append(s.columns, name)
	}
	s.csv.ReuseRecord = true
	return s, nil
}

// separatorOf is what a header has more of outside quotes, if in doubt a comma.
func separatorOf(header string) rune {
	commas, semicolons, quoted := 0, 0, false
	for _, r := range header {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == ',':
			commas++
		case r == ';':
			semicolons++
		}
	}
	if semicolons > commas {
		return ';'
	}
	return ','
}

// next returns the next row; its fields are valid until the next call. The
// error is the file's, io.EOF at its end.
func (s *sheet) next() (sheetRow, error) {
	s.source.left = maxRowBytes
	fields, err := s.csv.Read()
	wrong, ok := errors.AsType[*csv.ParseError](err)
	switch {
	case ok && errors.Is(err, csv.ErrFieldCount):
		reason := fmt.Sprintf("The row has %d columns, and the header %d.", len(fields), len(s.columns))
		return sheetRow{line: wrong.StartLine, err: fault.New(fault.Invalid, "invalid_row", reason)}, nil
	case ok:
		reason := fmt.Sprintf("Line %d, column %d: %v.", wrong.Line, wrong.Column, wrong.Err)
		return sheetRow{line: wrong.StartLine, err: fault.New(fault.Invalid, "invalid_row", reason)}, nil
	case err != nil:
		return sheetRow{}, err
	}
	line, _ := s.csv.FieldPos(0)
	return sheetRow{line: line, fields: fields}, nil
}

// offset is how many bytes of the file are behind the row read last.
func (s *sheet) offset() int64 { return s.csv.InputOffset() }

// bounded fails when more than is left is wanted of a reader.
type bounded struct {
	from io.Reader
	left int // bytes
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a row has more than %d bytes; is a quote not closed?", maxRowBytes)
	}
	n, err := b.from.Read(p)
	b.left -= n
	return n, err
}
