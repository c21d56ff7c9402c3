package processes

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Sandbox confines the workers, for tasks that parse what may be hostile. Whatever
// happens to such a worker, it cannot
//
//   - write, make, rename or remove files, other than in the folders of Write;
//   - read files, other than those of Read and Write;
//   - change the mode, the owner, the times, the attributes or the flags of any file;
//   - start programs, or fork;
//   - map memory that is shared and has no file, or make files in memory: Options.Memory would
//     not count it. If that is set, it cannot map files for sharing either, but for itself
//     (MAP_PRIVATE) it can;
//   - make a socket, or use one to reach somebody: no network, and no talking to services
//     of this machine;
//   - signal, trace or limit other processes, see their memory or environment, or gain
//     privileges; of root it keeps those over files.
//
// An attempt fails with an error that is [os.ErrPermission]; the worker goes on. The same
// holds for threads that C code has made.
//
// A worker is confined when Options.Init has run, so that it may open what tasks
// need: what is open stays open, and what package-level variables and init functions
// do comes before, too. What this program has inherited and passes on without knowing is
// closed. It may have 4,096 files open, and does not leave a core file. What a task can do
// besides is use time and memory, see Options.Timeout and Options.Memory, lock files that
// it may read, see which names there are and how large files are, and return a wrong result,
// which is data like the input that it came from, of a size that Options.MaxResult bounds.
// It also sees the environment of its worker, see Options.Env.
//
// It takes Linux 6.2 with Landlock (which files may be reached) and seccomp (which
// system calls may be made), on amd64, arm64, 386 or arm. Elsewhere New fails, with an
// error that is [errors.ErrUnsupported]; nothing runs unconfined.
//
// The zero value lets tasks read what the user of this process may, and write nothing.
type Sandbox struct {
	// Read lists files and folders, with all that is in them. Nil means all there
	// are; empty and not nil, none. New opens them: what takes their place later does
	// not count.
	//
	// Nil does not mean /proc, where the command lines of all processes are, with the secrets
	// that some have: of it a task may read what is about its own process (/proc/self), /proc/sys
	// and a few files about the machine. Nor may it list the root folder. A list with /
	// or /proc in it allows both.
	Read []string

	// Write lists folders, and files that exist already, in which tasks may also
	// read. /dev/null is one of them without being listed.
	Write []string
}

// confinement is a Sandbox whose files and folders are open. They are passed to
// workers so, because a name could lead elsewhere by the time that a worker starts.
type confinement struct {
	all         bool // everything may be read: there is no list
	memory      bool // Options.Memory is set
	read, write []*os.File
}

// open opens the files and folders. memory says whether Options.Memory is set.
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

// passedSandbox is a confinement as a worker is told of it: the names of its files there.
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

// String is "-" for nil, and else as in "8+9:10:m": two to be read, one to be written;
// with r as well if all may be read, and m if memory is bounded.
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
