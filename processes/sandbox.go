package processes

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Sandbox confines the workers, for tasks that parse what may be hostile. Whatever
// happens to such a worker, it cannot
//
//   - write, make, rename or remove files, other than in the folders of Write;
//   - read files, other than those of Read and Write;
//   - change the mode, the owner, the times or the attributes of any file;
//   - start programs;
//   - open a socket: no network, and no talking to services of this machine;
//   - signal, trace or limit other processes, see their memory or environment, or gain
//     privileges; of root it keeps those over files.
//
// An attempt fails with an error that is [os.ErrPermission]; the worker goes on. The same
// holds for threads that C code has made, and for what the worker forks.
//
// A worker is confined when Options.Init has run, so that it may open what tasks
// need: what is open stays open, and what package-level variables and init functions
// do comes before, too. What a task can do besides is use time and memory, see
// Options.Timeout and Options.Memory, and return a wrong result, which is data like
// the input that it came from. It also sees the environment of its worker, see
// Options.Env.
//
// It takes Linux 6.2 with Landlock (which files may be reached) and seccomp (which
// system calls may be made), on amd64, arm64, 386 or arm. Elsewhere New fails, with an
// error that is [errors.ErrUnsupported]; nothing runs unconfined.
//
// The zero value lets tasks read what the user of this process may, and write nothing.
type Sandbox struct {
	// Read lists files and folders, with all that is in them. Nil means all there
	// are; empty and not nil, none.
	Read []string

	// Write lists folders, and files that exist already, in which tasks may also
	// read. /dev/null is one of them without being listed.
	Write []string
}

// resolve returns the sandbox with absolute paths, which exist.
func (s *Sandbox) resolve() (*Sandbox, error) {
	if err := canConfine(); err != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: %w: %w", err, errors.ErrUnsupported)
	}
	all := func(paths []string) (_ []string, err error) {
		absolute := make([]string, len(paths))
		for i, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("processes: Options.Sandbox: %w", err)
			}
			if absolute[i], err = filepath.Abs(path); err != nil {
				return nil, fmt.Errorf("processes: Options.Sandbox: %w", err)
			}
		}
		return absolute, nil
	}
	read, err := all(s.Read)
	if err != nil {
		return nil, err
	}
	if s.Read == nil {
		read = []string{string(filepath.Separator)}
	}
	write, err := all(s.Write)
	if err != nil {
		return nil, err
	}
	return &Sandbox{Read: read, Write: write}, nil
}

// How a worker is told.

func (s *Sandbox) encode() string {
	if s == nil {
		return "-"
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeSandbox(text string) (*Sandbox, error) {
	if text == "-" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	s := new(Sandbox)
	return s, json.Unmarshal(b, s)
}
