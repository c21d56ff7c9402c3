package processes

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Sandbox confines the workers, for tasks that process untrusted input.
// Whatever happens to such a worker, it cannot
//
//   - write, make, rename or remove files, except in the directories of Write;
//   - read files, except those of Read and Write;
//   - change the mode, the owner, the times, the attributes or the flags of any
//     file;
//   - start programs, or fork;
//   - map shared memory without a file, or make files in memory, which
//     Options.Memory would not count. If Options.Memory is set, it cannot map
//     files as shared memory either, but privately (MAP_PRIVATE) it can;
//   - put pages of its memory, or of files, into pipes without copying them
//     (vmsplice, splice, tee, sendfile). The pipe would keep them, and the
//     whole of a huge page, after the worker has unmapped them, and
//     Options.Memory would not count them;
//   - make a socket, or send by one: it can use neither the network nor
//     services of this machine;
//   - signal, trace or limit other processes, see their memory or environment,
//     or gain privileges; root keeps only its privileges over files.
//
// An attempt fails with an error that is [os.ErrPermission], and the worker
// continues. The same holds for threads of C code.
//
// A worker is confined after Options.Init has run, so Init can open files that
// tasks need: open files stay open. Package-level variables and init functions
// are initialized before, too. Files that this program has inherited are
// closed. A worker may have 4,096 files open, and leaves no core file.
//
// A task can still use time and memory (see Options.Timeout and
// Options.Memory), lock files that it may read, see the names and sizes of
// files, and see the environment of its worker (see Options.Env). It can return
// a wrong result; Options.MaxResult limits the size.
//
// A sandbox needs Linux 6.2 with Landlock (for files) and seccomp (for system
// calls), on amd64, arm64, 386 or arm. Elsewhere New fails, with an error that
// is [errors.ErrUnsupported]; nothing runs unconfined.
//
// With the zero value, tasks can read what the user of this process can read,
// and write nothing.
type Sandbox struct {
	// Read lists files and directories with everything in them. Nil means all
	// files; empty and not nil means none. New opens them, so a file that later
	// takes the place of one of them cannot be read.
	//
	// Nil does not include /proc, which has the command lines of all processes,
	// and some of these have secrets. Of /proc a task can read the files of its
	// own process (/proc/self), /proc/sys and a few files about the machine. It
	// cannot list the root directory. A list with / or /proc allows both.
	Read []string

	// Write lists directories, and existing files, that tasks may write and
	// read. /dev/null is always among them.
	Write []string
}

// confinement is a Sandbox whose files and directories are open. They are passed
// to workers so, because a name could lead elsewhere by the time that a worker
// starts.
type confinement struct {
	all         bool // everything may be read: there is no list
	memory      bool // Options.Memory is set
	read, write []*os.File
}

// open opens the files and directories. memory says whether Options.Memory is
// set.
func (s *Sandbox) open(memory bool) (_ *confinement, err error) {
	if err := canConfine(); err != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: %w: %w", err, errors.ErrUnsupported)
	}
	c := &confinement{all: s.Read == nil, memory: memory}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	all := func(paths []string) (files []*os.File, err error) {
		for _, path := range paths {
			f, err := openPlace(path)
			if err != nil {
				return files, fmt.Errorf("processes: Options.Sandbox: %w", err)
			}
			files = append(files, f)
		}
		return files, nil
	}
	if c.read, err = all(s.Read); err != nil {
		return nil, err
	}
	c.write, err = all(s.Write)
	return c, err
}

// files returns all of them; none of a nil confinement.
func (c *confinement) files() []*os.File {
	if c == nil {
		return nil
	}
	return slices.Concat(c.read, c.write)
}

func (c *confinement) close() {
	for _, f := range c.files() {
		f.Close()
	}
}

// passedSandbox is a confinement as a worker is told of it: the names of its
// files there.
type passedSandbox struct {
	all, memory bool
	read, write []string
}

// in returns c as a worker is told of it, where the files have those names.
func (c *confinement) in(names []string) *passedSandbox {
	if c == nil {
		return nil
	}
	return &passedSandbox{c.all, c.memory, names[:len(c.read)], names[len(c.read):]}
}

// String is "-" for nil, and else as in "8+9:10:m": two to be read, one to be
// written; with r as well if all may be read, and m if memory is bounded.
func (p *passedSandbox) String() string {
	if p == nil {
		return "-"
	}
	flags := ""
	if p.all {
		flags += "r"
	}
	if p.memory {
		flags += "m"
	}
	return strings.Join(p.read, "+") + ":" + strings.Join(p.write, "+") + ":" + flags
}

func parseSandbox(text string) (*passedSandbox, error) {
	if text == "-" {
		return nil, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 || strings.Trim(parts[2], "rm") != "" {
		return nil, fmt.Errorf("%q is not understood", text)
	}
	list := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, "+"), func(name string) bool { return name == "" })
	}
	return &passedSandbox{strings.Contains(parts[2], "r"), strings.Contains(parts[2], "m"), list(parts[0]), list(parts[1])}, nil
}
