//go:build unix

package processes

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// passFiles gives files to a process that is about to be started, and returns
// the names under which openPassed finds them there.
func passFiles(cmd *exec.Cmd, files []*os.File) (names []string, err error) {
	for _, f := range files {
		names = append(names, strconv.Itoa(3+len(cmd.ExtraFiles)))
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return names, nil
}

// openPassed returns the files that were passed to this process. What it
// starts itself does not get them: it would keep pipes open after its death.
func openPassed(names []string) (files []*os.File, err error) {
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("processes: %q is no file descriptor", name)
		}
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("processes: file descriptor %d was not passed: %w", fd, err)
		}
		files = append(files, os.NewFile(uintptr(fd), "concert-"+name))
	}
	return files, nil
}
