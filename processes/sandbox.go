package processes

import (
	"fmt"

	"concert/processes/internal/confine"
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

// open opens the files and directories. limitedMemory says whether
// Options.Memory is set.
func (s *Sandbox) open(limitedMemory bool) (*confine.Sandbox, error) {
	c, err := confine.Open(s.Read, s.Write, limitedMemory)
	if err != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: %w", err)
	}
	return c, nil
}
