// Package migrations holds the database's schema as numbered steps that can be
// taken and taken back, and takes them.
package migrations

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed *.sql
var files embed.FS

// State is where a database stands.
type State struct {
	Version uint `json:"version"` // of the last step taken; 0 for an empty database
	Latest  uint `json:"latest"`  // of the last step there is
	Dirty   bool `json:"dirty"`   // a step failed half-way and a person must look
}

// Up takes every step that was not taken yet. Several processes may call it at
// once: one works, the others wait.
func Up(ctx context.Context, databaseURL string) error {
	return with(ctx, databaseURL, func(m *migrate.Migrate) error { return m.Up() })
}

// Down takes back the given number of steps, the latest first, or all there are if
// those are fewer.
func Down(ctx context.Context, databaseURL string, steps int) error {
	return with(ctx, databaseURL, func(m *migrate.Migrate) error {
		err := m.Steps(-steps)
		if _, fewer := errors.AsType[migrate.ErrShortLimit](err); fewer {
			return nil
		}
		return err
	})
}

// Status says where the database stands.
func Status(ctx context.Context, databaseURL string) (State, error) {
	s := State{Latest: latest()}
	err := with(ctx, databaseURL, func(m *migrate.Migrate) error {
		v, dirty, err := m.Version()
		s.Version, s.Dirty = v, dirty
		if errors.Is(err, migrate.ErrNilVersion) {
			return nil
		}
		return err
	})
	return s, err
}

// Hash names this set of steps: two programs with the same hash want the same
// schema.
func Hash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(h, "%s\x00%s\x00", path, b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

// latest returns the number of the last step there is.
func latest() uint {
	src, err := iofs.New(files, ".")
	if err != nil {
		return 0
	}
	v, err := src.First()
	if err != nil {
		return 0
	}
	for {
		next, err := src.Next(v)
		if err != nil {
			return v
		}
		v = next
	}
}

// with opens its own connection, because golang-migrate closes what it is
// given, and stops between two steps when ctx ends.
func with(ctx context.Context, databaseURL string, do func(*migrate.Migrate) error) error {
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return errors.New("DATABASE_URL is not a PostgreSQL URL; example: postgres://user:password@host:5432/msgorch")
	}
	conn := stdlib.OpenDB(*cfg)
	defer func() { _ = conn.Close() }()
	if err := conn.PingContext(ctx); err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	driver, err := migratepgx.WithInstance(conn, &migratepgx.Config{MigrationsTable: "schema_migrations"})
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	src, err := iofs.New(files, ".")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	m, err := migrate.NewWithInstance("iofs", src, "pgx5", driver)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	err = do(m)
	sourceErr, closeErr := m.Close()
	if errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	return errors.Join(err, sourceErr, closeErr)
}
