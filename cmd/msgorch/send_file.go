package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
)

// textColumn holds the texts of a file that is sent without a template.
const textColumn = "text"

// fileFlags are the flags of a file: together with --instance and --priority
// they are the only ones that go with it.
func fileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "file", Usage: "send to everybody in this CSV `FILE`; - reads it from standard input", TakesFile: true},
		&cli.StringFlag{Name: "template", Usage: "`TEXT` for each row, {{name}} being its column name; without it, the column text"},
		&cli.StringFlag{Name: "to-column", Usage: "`COLUMN` with the recipients", Value: "to"},
		&cli.StringFlag{Name: "key-prefix", Usage: "`PREFIX` of the rows' idempotency keys; another one sends the same again"},
		&cli.StringFlag{Name: "key-column", Usage: "`COLUMN` with idempotency keys, instead of line numbers"},
		&cli.BoolFlag{Name: "dry-run", Usage: "check every row, show the first messages, and send nothing"},
	}
}

// fileHelp explains --file.
const fileHelp = "With --file every row of a CSV file is a message. The file is in UTF-8, its first line names\n" +
	"the columns, and commas or semicolons separate them. Rows that cannot be sent are reported\n" +
	"with their line and do not stop the others.\n\n" +
	"The same command sends nothing twice, and goes on after an interruption: a row's idempotency\n" +
	"key is PREFIX:LINE. PREFIX is, if not given, a hash of the instance, the template, the header\n" +
	"and the file's name without its folder, not of its rows. So a row that was changed after it\n" +
	"was accepted is refused with idempotency_key_reused, and to send the same once more, such as\n" +
	"next month, give another --key-prefix. With --key-column the key is what the column holds,\n" +
	"after PREFIX: if that is given; rows may then move.\n\n" +
	"msgorch send --instance sales --file people.csv --template 'Hola {{name}}' --dry-run\n" +
	"msgorch send --instance sales --file people.csv --template 'Hola {{name}}' --priority bulk\n" +
	"msgorch send --instance sales --file bills.csv --to-column phone --key-column bill"

func (a *app) sendFile(ctx context.Context, c *cli.Command) error {
	if err := checkFileFlags(c); err != nil {
		return err
	}
	file, size, err := a.openFile(c.String("file"))
	if err != nil {
		return err
	}
	defer file.Close()
	s, err := readSheet(file)
	if err != nil {
		return err
	}
	l, err := letterOf(c, s.columns)
	if err != nil {
		return err
	}
	cfg, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	switch _, err := db.New(pool).InstanceByName(ctx, l.instance); {
	case errors.Is(err, pgx.ErrNoRows):
		return unknownInstance(l.instance)
	case err != nil:
		return fmt.Errorf("find instance: %w", err)
	}
	d := &delivery{
		letter: l, sheet: s, gauge: newGauge(a.stderr, size), note: a.note, accept: rehearse, settled: 1,
		sum: mailing{
			File: c.String("file"), Instance: l.instance, KeyPrefix: l.prefix, DryRun: c.Bool("dry-run"), Refusals: []refusal{},
		},
	}
	if !d.sum.DryRun {
		ob, finish := a.outbox(pool, cfg.Redis)
		defer finish(context.WithoutCancel(ctx))
		d.accept = ob.AcceptAll
	}
	return a.deliver(ctx, d)
}

// deliver sends, tells what came of it, and fails when a row was not accepted.
func (a *app) deliver(ctx context.Context, d *delivery) error {
	started := time.Now()
	err := d.run(ctx)
	d.gauge.clear()
	d.sum.took(time.Since(started))
	if printed := a.printMailing(&d.sum); printed != nil {
		return printed
	}
	if err != nil {
		a.note("%s", explain(err))
		a.note("stopped after line %d; running the same command again continues, and sends nothing twice", d.settled)
		return errSilent
	}
	if d.sum.Refused > 0 {
		return errSilent
	}
	return nil
}

// checkFileFlags refuses flags of one message: each would be the same for all.
func checkFileFlags(c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	for _, name := range []string{"to", "key", "send-at", "expires-at", "reply-to", "wait"} {
		if c.IsSet(name) {
			return wrongUsage(c, fmt.Errorf("--%s does not go with --file", name))
		}
	}
	if p := c.String("priority"); p != "" && !slices.Contains([]string{"critical", "default", "bulk"}, p) {
		return wrongUsage(c, errors.New("--priority must be critical, default or bulk"))
	}
	if c.String("file") == "" {
		return wrongUsage(c, errors.New("--file must name a file"))
	}
	return nil
}

// openFile opens a file, or standard input for -, and tells its size in bytes,
// -1 if nobody knows.
func (a *app) openFile(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), -1, nil
	}
	f, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, -1, err
	}
	return f, info.Size(), nil
}

// letterOf is what the command line makes of a file with these columns.
func letterOf(c *cli.Command, columns []string) (l letter, err error) {
	l = letter{instance: c.String("instance"), priority: c.String("priority"), prefix: c.String("key-prefix"), key: byLine}
	text := c.String("template")
	if text == "" {
		if _, err := columnNamed(textColumn, columns); err != nil {
			return l, wrongUsage(c, fmt.Errorf("there is no --template, and %w", err))
		}
		text = "{{" + textColumn + "}}"
	}
	if l.text, err = parseTemplate(text, columns); err != nil {
		return l, wrongUsage(c, err)
	}
	if l.to, err = columnNamed(c.String("to-column"), columns); err != nil {
		return l, wrongUsage(c, fmt.Errorf("--to-column: %w", err))
	}
	if name := c.String("key-column"); name != "" {
		if l.key, err = columnNamed(name, columns); err != nil {
			return l, wrongUsage(c, fmt.Errorf("--key-column: %w", err))
		}
		return l, nil
	}
	if l.prefix == "" {
		l.prefix, err = prefixOf(l.instance, text, filepath.Base(c.String("file")), columns)
	}
	return l, err
}

// prefixOf names a mailing by what stays the same when it is repeated. It never
// changes: a repetition may be run by a later version.
func prefixOf(instance, template, base string, columns []string) (string, error) {
	const short = 8 // bytes
	identity, err := json.Marshal(append([]string{instance, template, base}, columns...))
	if err != nil {
		return "", fmt.Errorf("name the mailing: %w", err)
	}
	sum := sha256.Sum256(identity)
	return hex.EncodeToString(sum[:short]), nil
}
