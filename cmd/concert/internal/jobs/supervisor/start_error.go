//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// programs finds programs. It looks for each name only once.
type programs struct{ paths sync.Map } // name to path

// find returns the path of a program. A name with a slash is a path, relative
// to the directory of the job.
func (p *programs) find(name string) (path string, err error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	if path, ok := p.paths.Load(name); ok {
		return path.(string), nil
	}
	path, err = exec.LookPath(name)
	var reason string
	switch {
	case err == nil:
		p.paths.Store(name, path)
		return path, nil
	case name == "":
		reason = "the name of the program is empty"
	case errors.Is(err, exec.ErrDot):
		reason = "it is in the current directory, by a relative entry of PATH: write ./" + name
	case errors.Is(err, exec.ErrNotFound):
		reason = "not found in PATH"
	default:
		reason = err.Error()
	}
	return "", &StartError{Program: name, Reason: reason, Err: lookupCause(err)}
}

// lookupCause returns the cause that an error of exec.LookPath contains.
func lookupCause(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// forget removes a program that has disappeared from its path.
func (p *programs) forget(name string) { p.paths.Delete(name) }

// checkJob returns an error for a job that no system can start.
func checkJob(j *Job) error {
	if len(j.Args) == 0 {
		return &StartError{Reason: "there is no program to start", Err: syscall.EINVAL}
	}
	for i, arg := range j.Args {
		if strings.ContainsRune(arg, 0) {
			return &StartError{Program: j.Args[0], Reason: fmt.Sprintf("argument %d contains a NUL byte", i), Err: syscall.EINVAL}
		}
	}
	for _, v := range append([]string{j.Dir}, j.Env...) {
		if strings.ContainsRune(v, 0) {
			return &StartError{Program: j.Args[0], Reason: "the directory or a variable of the environment contains a NUL byte", Err: syscall.EINVAL}
		}
	}
	return nil
}

// startError explains why the system did not start a command. It looks at the
// files again, because the system only reports an error number.
func startError(j *Job, path string, errno syscall.Errno) error {
	e := &StartError{Program: j.Args[0], Reason: errno.Error(), Err: errno}
	if j.Dir != "" {
		if stat, err := os.Stat(j.Dir); err != nil || !stat.IsDir() {
			e.Reason = fmt.Sprintf("its directory %q: %v", j.Dir, errno)
			return e
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(j.Dir, path)
		}
	}
	stat, err := os.Stat(path)
	switch {
	case errno == syscall.ENOENT && err == nil:
		e.Reason = "the file exists, but the interpreter that its first line (#!) or its header names is not found"
	case errno == syscall.ENOENT:
		e.Reason = "not found"
	case errno == syscall.EACCES && err == nil && stat.IsDir():
		e.Reason = "it is a directory"
	case errno == syscall.EACCES && err == nil && stat.Mode().Perm()&0o111 == 0:
		e.Reason = "not executable: to permit it, run chmod +x"
	case errno == syscall.ENOEXEC:
		e.Reason = "not a program for this system: the first line of a script must be like #!/bin/sh"
	case errno == syscall.E2BIG:
		e.Reason = "argument list too long: pass the data in a file or by stdin"
	case errno == syscall.EAGAIN:
		e.Reason = "there are too many processes: raise the limit of the user (ulimit -u) or of the container or service (pids.max)"
	case errno == syscall.EMFILE || errno == syscall.ENFILE:
		e.Reason = "too many open files (ulimit -n)"
	}
	return e
}
