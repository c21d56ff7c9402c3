package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// output is a file that is there when it is complete, and not before: it has
// another name until then. What is no regular file, a pipe say, is written as
// it is.
type output struct {
	*os.File
	name   string // as the user gave it
	target string // what it is renamed to; empty if it is not
}

// newOutput begins a file, or returns nil for no name. The error names the
// file.
func newOutput(name string) (o *output, err error) {
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
		// /dev/stdout may be a file, which is not to be replaced, nor begun
		// anew.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		return &output{f, name, ""}, err
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
	o = &output{f, name, target}
	atOnce(f, func() { os.Remove(f.Name()) })
	return o, nil
}

// reason is an error without the name that the file has for the time being.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// keep gives the file its name, unless it could not be written, as written
// says.
func (o *output) keep(written error) error {
	if o == nil {
		return nil
	}
	err := written
	if e := o.Close(); err == nil {
		err = e
	}
	forget(o.File)
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

// abandon removes the file if it was not kept.
func (o *output) abandon() {
	if o != nil && o.Close() == nil && o.target != "" { // keep has closed it already
		os.Remove(o.File.Name())
		forget(o.File)
	}
}
