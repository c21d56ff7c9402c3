package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Output is a file that gets its name when it is complete. Until then it has a
// temporary name. An output that is not a regular file, such as a pipe, is
// written directly.
type Output struct {
	*os.File
	name   string // the name that the user has given
	target string // the name to which Commit renames the file; empty if it does not rename
}

// NewOutput creates a file, or returns nil for an empty name. The error
// contains the name of the file.
func NewOutput(name string) (o *Output, err error) {
	if name == "" {
		return nil, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %s: %w", name, reason(err))
		}
	}()
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular() || strings.HasPrefix(name, "/dev/"):
		// /dev/stdout may be a regular file, which must not be replaced or
		// truncated.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		return &Output{f, name, ""}, err
	}
	mode := fs.FileMode(0o666)
	if err == nil {
		mode = info.Mode().Perm()
	}
	target := name
	if real, err := filepath.EvalSymlinks(name); err == nil {
		target = real
	}
	dir, base := filepath.Split(target)
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf(".%s.%08x", base, rand.Uint32())), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	o = &Output{f, name, target}
	AddCleanup(f, func() { os.Remove(f.Name()) })
	return o, nil
}

// reason returns the error without the temporary name of the file.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Commit closes the file and renames it to its final name. The parameter is
// the error of the writes: if it is not nil, Commit removes the file
// instead.
func (o *Output) Commit(written error) error {
	if o == nil {
		return nil
	}
	err := written
	if e := o.Close(); err == nil {
		err = e
	}
	RemoveCleanup(o.File)
	if o.target != "" {
		if err == nil {
			err = os.Rename(o.File.Name(), o.target)
		}
		if err != nil {
			os.Remove(o.File.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", o.name, reason(err))
	}
	return nil
}

// Discard removes the file unless Commit has been called.
func (o *Output) Discard() {
	if o != nil && o.Close() == nil && o.target != "" { // after Commit, Close fails and the file stays
		os.Remove(o.File.Name())
		RemoveCleanup(o.File)
	}
}
