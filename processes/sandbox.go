package processes

import (
	"fmt"

	"concert/processes/internal/confine"
)

// Sandbox confines the workers of a pool, for tasks that process untrusted
// input. Even if the input takes control of such a worker, the worker cannot
//
//   - write, make, rename or remove files, except in the directories of Write;
//   - read files, except those of Read and Write;
//   - change the mode, the owner, the times, the attributes or the flags of any
//     file;
//   - start programs, or fork;
//   - map shared memory without a file, or make files in memory, which
//     Options.Memory would not count. If Options.Memory is set, the worker can
//     map files only privately (MAP_PRIVATE), not as shared memory;
//   - put pages of its memory, or of files, into pipes without copying them
//     (vmsplice, splice, tee, sendfile). The pipe would keep these pages after
//     the worker has unmapped them, and Options.Memory would not count them;
//   - make a socket, or send data through a socket, so it can use neither the
//     network nor services of this machine;
//   - signal, trace or limit other processes, see their memory or environment,
//     or gain privileges. A worker of root keeps only its privileges over
//     files.
//
// Each attempt fails with an error that is [os.ErrPermission], also in threads
// of C code, and the worker continues.
//
// A worker is confined after Options.Init has run. Files that Init, init
// functions or package-level variables have opened stay open, so tasks can use
// them. Files that this program has inherited are closed. A worker may have
// 4,096 files open, and leaves no core file.
//
// A task can still use time and memory (see Options.Timeout and
// Options.Memory), lock files that it may read, see the names and sizes of
// files, and see the environment of its worker (see Options.Env). It can return
// a wrong result, but not a larger one than Options.MaxResult.
//
// A sandbox needs Linux 6.2 with Landlock (for files) and seccomp (for system
// calls), on amd64, arm64, 386 or arm. On other systems, New fails with an
// error that is [errors.ErrUnsupported].
//
// With the zero value, tasks can read all files that the user of this process
// can read, except most of /proc, and can write no file except /dev/null.
type Sandbox struct {
	// Read lists the files and directories that tasks may read. A directory
	// includes everything in it. Nil means all files; an empty list that is not
	// nil means none. New opens these files and directories, so a file that is
	// later renamed to one of these names cannot be read.
	//
	// Nil does not include /proc, because /proc shows the command lines of
	// all processes, and command lines may contain secrets. In /proc, a task
	// can read only the files of its own process (/proc/self), /proc/sys and
	// a few files about the machine. A task cannot list the root directory
	// either. If a list contains /, tasks can read all of /proc and list the
	// root directory. If a list contains /proc, tasks can read all of /proc.
	Read []string

	// Write lists the directories and existing files that tasks may write and
	// read. Tasks may always write and read /dev/null.
	Write []string
}

// open opens the files and directories of the sandbox. limitedMemory says
// whether Options.Memory is set.
func (s *Sandbox) open(limitedMemory bool) (*confine.Sandbox, error) {
	c, err := confine.Open(s.Read, s.Write, limitedMemory)
	if err != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: %w", err)
	}
	return c, nil
}
