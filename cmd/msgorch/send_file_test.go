package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/testenv"
)

// people is a CSV file of n people.
func people(n int) string {
	var b strings.Builder
	b.WriteString("to,name\n")
	for i := range n {
		fmt.Fprintf(&b, "+52155500%05d,Ana %d\n", i, i)
	}
	return b.String()
}

// saved writes a file and returns its path.
func saved(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// mailingArgs sends a file from "sales", with the summary as JSON.
func mailingArgs(file string, more ...string) []string {
	return append([]string{"send", "-o", "json", "--instance", "sales", "--file", file}, more...)
}

// texts returns what is stored, oldest first.
func (e environment) texts(t *testing.T) (texts []string) {
	t.Helper()
	rows, err := testenv.PoolOn(t, e["DATABASE_URL"]).Query(t.Context(), `SELECT text FROM messages ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

// counts are the ones of a summary.
type counts struct{ Read, Valid, Accepted, Replayed, Refused int }

func (m mailing) counts() counts {
	return counts{m.Read, m.Valid, m.Accepted, m.Replayed, m.Refused}
}

func wantCounts(t *testing.T, got mailing, want counts) {
	t.Helper()
	if diff := cmp.Diff(want, got.counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSendFileTwiceSendsEachRowOnce(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	lines := strings.Split(strings.TrimSpace(people(1200)), "\n")
	lines[9] = "12,Wrong number"
	lines[19] = "+5215550000001,Too,many"
	lines[29] = `+5215550000001,bare " quote`
	args := mailingArgs(saved(t, strings.Join(lines, "\n")), "--template", "Hola {{ name }}, {{to}}", "--priority", "bulk")

	got := env.run(t, args...).want(t, exitFailed)
	first := as[mailing](t, got)
	wantCounts(t, first, counts{Read: 1200, Accepted: 1197, Refused: 3})
	for _, want := range []string{"line 10: invalid_number: ", "line 20: invalid_row: The row has 3 columns, and the header 2.", "line 30: invalid_row: "} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
	if !first.Complete || first.PerSecond <= 0 || first.Took <= 0 || len(first.Refusals) != 3 || first.Refusals[1].Line != 20 {
		t.Errorf("summary %+v", first)
	}
	second := as[mailing](t, env.run(t, args...).want(t, exitFailed))
	wantCounts(t, second, counts{Read: 1200, Replayed: 1197, Refused: 3})
	texts := env.texts(t)
	if len(texts) != 1197 || texts[0] != "Hola Ana 0, +5215550000000" {
		t.Errorf("%d stored, first %q", len(texts), texts[0])
	}
}

func TestSendFileRefusesAChangedRow(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	file := saved(t, people(5))
	env.run(t, mailingArgs(file, "--template", "Hola {{name}}")...).want(t, exitOK)
	changed := strings.Replace(people(6), "Ana 3", "Eva", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	got := env.run(t, mailingArgs(file, "--template", "Hola {{name}}")...).want(t, exitFailed)
	wantCounts(t, as[mailing](t, got), counts{Read: 6, Accepted: 1, Replayed: 4, Refused: 1})
	if !strings.Contains(got.stderr, "line 5: idempotency_key_reused: ") || strings.Contains(got.stderr, "Eva") {
		t.Errorf("stderr: %s", got.stderr)
	}
	again := env.run(t, mailingArgs(file, "--template", "Hola {{name}}", "--key-prefix", "june")...).want(t, exitOK)
	wantCounts(t, as[mailing](t, again), counts{Read: 6, Accepted: 6})
}

func TestSendFileShowsTheFirstRefusals(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	got := env.run(t, mailingArgs(saved(t, "to,text\n"+strings.Repeat("+5215550000001,\n", 25)))...).want(t, exitFailed)
	if strings.Count(got.stderr, ": invalid_text: ") != shownRefusals || !strings.Contains(got.stderr, "and 5 more rows were refused") {
		t.Errorf("stderr: %s", got.stderr)
	}
}

// interruption reads like r, and calls stop once, when two thirds of it are read.
type interruption struct {
	*strings.Reader
	stop func()
}

func (r *interruption) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.stop != nil && int64(r.Len()) < r.Size()/3 {
		r.stop()
		r.stop = nil
	}
	return n, err
}

// interrupt runs a command whose standard input calls stop on its way.
func (e environment) interrupt(ctx context.Context, file string, stop func(), args ...string) result {
	var stdout, stderr bytes.Buffer
	stdin := io.Reader(&interruption{strings.NewReader(file), stop})
	getenv := func(name string) string { return e[name] }
	status := run(ctx, append([]string{"msgorch"}, args...), getenv, stdin, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func TestSendFileContinuesAfterAnInterruption(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	file := people(6000)
	args := mailingArgs("-", "--template", "Hola {{name}}")
	ctx, cancel := context.WithCancel(t.Context())

	got := env.interrupt(ctx, file, cancel, args...).want(t, exitFailed)
	first := as[mailing](t, got)
	if first.Complete || first.Accepted == 0 || first.Accepted%batchRows != 0 || first.Accepted == 6000 {
		t.Errorf("summary %+v", first)
	}
	if !strings.Contains(got.stderr, "interrupted") || !strings.Contains(got.stderr, "the same command again continues") {
		t.Errorf("stderr: %s", got.stderr)
	}
	second := as[mailing](t, env.feed(t, file, args...).want(t, exitOK))
	wantCounts(t, second, counts{Read: 6000, Accepted: 6000 - first.Accepted, Replayed: first.Accepted})
}

func TestSendFileContinuesWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	address, err := url.Parse(env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(address.Path, "/")
	address.Path = "/postgres"
	server := testenv.PoolOn(t, address.String())
	open := func(yes bool) {
		if _, err := server.Exec(t.Context(), fmt.Sprintf(`ALTER DATABASE %q ALLOW_CONNECTIONS %t`, database, yes)); err != nil {
			t.Error(err)
		}
	}
	away := func() {
		open(false)
		if _, err := server.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database); err != nil {
			t.Error(err)
		}
	}
	file, args := people(6000), mailingArgs("-", "--template", "Hola {{name}}")

	got := env.interrupt(t.Context(), file, away, args...).want(t, exitFailed)
	open(true)
	first := as[mailing](t, got)
	if first.Complete || first.Accepted == 6000 || first.Refused != 0 || !strings.Contains(got.stderr, "the database is away") ||
		!strings.Contains(got.stderr, "the same command again continues") {
		t.Errorf("summary %+v\nstderr: %s", first, got.stderr)
	}
	second := as[mailing](t, env.feed(t, file, args...).want(t, exitOK))
	wantCounts(t, second, counts{Read: 6000, Accepted: 6000 - first.Accepted, Replayed: first.Accepted})
}

func TestSendFileReadsWhatSpreadsheetsWrite(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	file := byteOrderMark + "phone;name, of all;id\r\n+5215550000001;\"Ana; \"\"A\"\"\";a\r\n\r\n+5215550000002;\"two\nlines {{id}}\";b\r\n"
	args := mailingArgs(saved(t, file), "--to-column", "phone", "--template", "Hola {{name, of all}}", "--key-column", "id")
	wantCounts(t, as[mailing](t, env.run(t, args...).want(t, exitOK)), counts{Read: 2, Accepted: 2})
	if diff := cmp.Diff([]string{`Hola Ana; "A"`, "Hola two\nlines {{id}}"}, env.texts(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	env.run(t, "send", "--instance", "sales", "--to", "+5215550000001", "--key", "a", "other").want(t, exitFailed)
}

func TestSendFileReadsStandardInput(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	got := env.feed(t, "to,text\n+5215550000001,one {{x}}\n", mailingArgs("-")...).want(t, exitOK)
	wantCounts(t, as[mailing](t, got), counts{Read: 1, Accepted: 1})
	if diff := cmp.Diff([]string{"one {{x}}"}, env.texts(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSendFileDryRunSendsNothing(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	args := mailingArgs(saved(t, people(10)+"12,Bad\n"), "--template", "Hola {{name}}", "--dry-run")
	got := env.run(t, args...).want(t, exitFailed)
	m := as[mailing](t, got)
	wantCounts(t, m, counts{Read: 11, Valid: 10, Refused: 1})
	if len(m.Examples) != shownExamples || m.Examples[0].Text != "Hola Ana 0" || !strings.Contains(got.stderr, "line 12: invalid_number") {
		t.Errorf("summary %+v\nstderr: %s", m, got.stderr)
	}
	if texts := env.texts(t); len(texts) > 0 {
		t.Errorf("stored %q", texts)
	}
}

func TestSendFileThatCannotBeSendsNothing(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	file := saved(t, people(3))
	tests := map[string]struct {
		args []string
		want int
		says string
	}{
		"unknown column":     {mailingArgs(file, "--template", "Hola {{nombre}}"), exitUsage, `"nombre", only to, name`},
		"open placeholder":   {mailingArgs(file, "--template", "Hola {{name"), exitUsage, "no }} closes"},
		"no text":            {mailingArgs(file), exitUsage, `there is no --template, and the file has no column "text"`},
		"no recipients":      {mailingArgs(file, "--template", "Hola", "--to-column", "phone"), exitUsage, `"phone", only`},
		"no keys":            {mailingArgs(file, "--template", "Hola", "--key-column", "id"), exitUsage, `"id", only`},
		"flag of one":        {mailingArgs(file, "--template", "Hola", "--to", "+5215550000001"), exitUsage, "--to does not go with --file"},
		"text of one":        {mailingArgs(file, "Hola"), exitUsage, "takes no argument"},
		"priority":           {mailingArgs(file, "--template", "Hola", "--priority", "urgent"), exitUsage, "--priority"},
		"template alone":     {[]string{"send", "--instance", "sales", "--to", "+5215550000001", "--template", "x", "y"}, exitUsage, "--template needs --file"},
		"nobody":             {[]string{"send", "--instance", "sales", "Hola"}, exitUsage, "needs --to, or --file"},
		"no file":            {mailingArgs(file+"x", "--template", "Hola"), exitFailed, "no such file"},
		"empty file":         {mailingArgs(saved(t, ""), "--template", "Hola"), exitFailed, "empty"},
		"column twice":       {mailingArgs(saved(t, "to,a,a\n"), "--template", "Hola"), exitFailed, `"a" twice`},
		"not UTF-8":          {mailingArgs(saved(t, "to,a\xf1o\n"), "--template", "Hola"), exitFailed, "UTF-8"},
		"unknown instance":   {append(mailingArgs(file, "--template", "Hola"), "--instance", "nobody"), exitFailed, `no instance "nobody"`},
		"quote never closed": {mailingArgs(saved(t, "to,text\n1,\""+strings.Repeat("x", 2*maxRowBytes))), exitFailed, "is a quote not closed?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := env.run(t, tt.args...).want(t, tt.want)
			if !strings.Contains(got.stderr, tt.says) {
				t.Errorf("stderr lacks %q: %s", tt.says, got.stderr)
			}
			if texts := env.texts(t); len(texts) > 0 {
				t.Errorf("stored %q", texts)
			}
		})
	}
}

// A mailing that was begun by another version goes on under the same keys.
func TestSendFileKeysNeverChange(t *testing.T) {
	t.Parallel()
	got, err := prefixOf("sales", "Hola {{name}}", "people.csv", []string{"to", "name"})
	if want := "b14791073c6c409e"; err != nil || got != want {
		t.Errorf("prefix %s, %v, want %s", got, err, want)
	}
}
