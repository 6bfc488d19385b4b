package media

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

// Modes: what people send is nobody else's business on the machine.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

const (
	incoming = "incoming" // where files are written until they are whole
	// stale is when a file there was left by a process that is gone.
	stale = 24 * time.Hour
)

// folder keeps files below a path, and never leaves it: an os.Root follows no
// link out of it.
type folder struct {
	path string

	once sync.Once
	root *os.Root
	err  error
}

// String names the store in what people read.
func (f *folder) String() string { return f.path }

// open makes the folder at its first use, so that a program which never stores
// anything needs none.
func (f *folder) dir() (*os.Root, error) {
	f.once.Do(func() {
		if f.err = os.MkdirAll(f.path, folderMode); f.err != nil {
			return
		}
		if f.root, f.err = os.OpenRoot(f.path); f.err != nil {
			return
		}
		if f.err = f.root.MkdirAll(incoming, folderMode); f.err == nil {
			f.tidy()
		}
	})
	return f.root, f.err
}

// tidy deletes what processes that were killed did not finish.
func (f *folder) tidy() {
	left, err := fs.ReadDir(f.root.FS(), incoming)
	if err != nil {
		return // it is tried again by the next process
	}
	for _, entry := range left {
		if about, err := entry.Info(); err == nil && time.Since(about.ModTime()) > stale {
			_ = f.root.Remove(path.Join(incoming, entry.Name()))
		}
	}
}

// put writes the file aside and renames it once it is on the disk, the rename
// too before it returns.
func (f *folder) put(ctx context.Context, key string, file io.Reader) (err error) {
	root, err := f.dir()
	if err != nil {
		return err
	}
	aside := path.Join(incoming, rand.Text())
	if err := f.write(aside, reader{ctx, file}); err != nil {
		_ = root.Remove(aside)
		return err
	}
	if err := root.MkdirAll(path.Dir(key), folderMode); err != nil {
		return err
	}
	if err := root.Rename(aside, key); err != nil {
		_ = root.Remove(aside)
		return err
	}
	return errors.Join(f.sync(path.Dir(key)), f.sync("."))
}

func (f *folder) write(name string, file io.Reader) error {
	out, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// sync has a folder's entries on the disk.
func (f *folder) sync(name string) error {
	d, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f *folder) open(_ context.Context, key string) (io.ReadSeekCloser, error) {
	root, err := f.dir()
	if err != nil {
		return nil, err
	}
	file, err := root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	return file, err
}

func (f *folder) remove(_ context.Context, key string) error {
	root, err := f.dir()
	if err != nil {
		return err
	}
	if err := root.Remove(key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
