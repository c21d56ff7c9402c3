// Package confine restricts a worker process that handles untrusted input. It
// limits the files that the process can read and write, the system calls that
// it can make, and its resources.
//
// The pool opens the files and directories of a [Sandbox], and passes them to
// each worker. The worker parses its [Restrictions] and applies them:
//
//	pool:   Open --> Sandbox --> Files, and Restrictions as text
//	worker: Parse --> Restrictions --> CloseInherited, then Apply
//
// Package confine uses two mechanisms, because each of them alone is not
// sufficient. Landlock decides by path, but does not cover sockets other
// than TCP, programs in memory, the modes of files, and, before Linux 6.12,
// signals. Seccomp decides by the number and the arguments of a system call,
// and cannot see paths. Both apply to all threads and children of the
// process, and cannot be undone.
package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Sandbox has the files and directories that workers may access. The pool opens
// them once and passes the open files to workers, because a name may refer to
// another file when a worker starts later.
type Sandbox struct {
	readAll       bool // workers may read all files: there is no list
	limitedMemory bool // the memory of workers is limited
	read, write   []*os.File
}

// Open opens two kinds of files and directories: workers may read the first
// kind, and may read and write the second kind. If read is nil, workers may
// read all files. If limitedMemory is true, the memory of workers has a
// limit, and they must not map memory that the limit does not include. The
// error is an [errors.ErrUnsupported] if this system cannot confine
// processes.
func Open(read, write []string, limitedMemory bool) (_ *Sandbox, err error) {
	if err := supported(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errors.ErrUnsupported)
	}
	s := &Sandbox{readAll: read == nil, limitedMemory: limitedMemory}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.read, err = openAll(read); err != nil {
		return nil, err
	}
	s.write, err = openAll(write)
	return s, err
}

// openAll opens all paths. If one of them fails, it returns the error and the
// files that it has opened before.
func openAll(paths []string) (files []*os.File, err error) {
	for _, path := range paths {
		f, err := openPath(path)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Files returns the files that the pool must pass to a worker. s may be nil.
func (s *Sandbox) Files() []*os.File {
	if s == nil {
		return nil
	}
	return slices.Concat(s.read, s.write)
}

// Close closes the files. s may be nil.
func (s *Sandbox) Close() {
	for _, f := range s.Files() {
		f.Close()
	}
}

// Restrictions returns the restrictions of a worker. The slice names has the
// names under which the worker gets the files of s. If s is nil, it returns
// nil.
func (s *Sandbox) Restrictions(names []string) *Restrictions {
	if s == nil {
		return nil
	}
	return &Restrictions{s.readAll, s.limitedMemory, names[:len(s.read)], names[len(s.read):]}
}

// Restrictions is the part of a Sandbox that a worker receives. It has the
// names under which the pool has passed the files to the worker.
type Restrictions struct {
	readAll, limitedMemory bool
	read, write            []string
}

// String encodes the restrictions for Parse. It returns "-" for nil, and
// otherwise a text such as "8+9:10:m": two files to read, one to write, and
// limited memory. The flag r means that the worker may read all files.
func (r *Restrictions) String() string {
	if r == nil {
		return "-"
	}
	flags := ""
	if r.readAll {
		flags += "r"
	}
	if r.limitedMemory {
		flags += "m"
	}
	return strings.Join(r.read, "+") + ":" + strings.Join(r.write, "+") + ":" + flags
}

// Parse parses a text that the method String has returned. It returns nil
// for "-".
func Parse(text string) (*Restrictions, error) {
	if text == "-" {
		return nil, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 || strings.Trim(parts[2], "rm") != "" {
		return nil, fmt.Errorf("%q does not describe a sandbox that this version knows", text)
	}
	list := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, "+"), func(name string) bool { return name == "" })
	}
	return &Restrictions{strings.Contains(parts[2], "r"), strings.Contains(parts[2], "m"), list(parts[0]), list(parts[1])}, nil
}
