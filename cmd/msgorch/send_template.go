package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// template is a text with placeholders such as {{name}}: texts and columns in
// turn, beginning and ending with a text.
type template struct {
	texts   []string
	columns []int
}

// parseTemplate reads a template whose placeholders are names of columns.
func parseTemplate(text string, columns []string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(text, "{{")
		t.texts = append(t.texts, before)
		if !found {
			return t, nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return t, errors.New("the template opens a placeholder with {{ that no }} closes")
		}
		column, err := columnNamed(strings.TrimSpace(name), columns)
		if err != nil {
			return t, fmt.Errorf("the template names {{%s}}: %w", strings.TrimSpace(name), err)
		}
		t.columns = append(t.columns, column)
		text = after
	}
}

// fill puts the fields of a row in their places. What a field holds is never a
// placeholder.
func (t template) fill(fields []string) string {
	var b strings.Builder
	for i, column := range t.columns {
		b.WriteString(t.texts[i])
		b.WriteString(fields[column])
	}
	b.WriteString(t.texts[len(t.columns)])
	return b.String()
}

// columnNamed finds a column, or says which there are.
func columnNamed(name string, columns []string) (int, error) {
	if i := slices.Index(columns, name); i >= 0 && name != "" {
		return i, nil
	}
	var named []string
	for _, c := range columns {
		if c != "" {
			named = append(named, printable(c))
		}
	}
	return 0, fmt.Errorf("the file has no column %q, only %s", name, strings.Join(named, ", "))
}
