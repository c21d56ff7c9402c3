//go:build unix

package osproc

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// PassFiles passes open files to a process that is about to be started. It
// returns the names by which OpenPassed finds them in that process.
func PassFiles(cmd *exec.Cmd, files []*os.File) (names []string, err error) {
	for _, f := range files {
		names = append(names, strconv.Itoa(3+len(cmd.ExtraFiles)))
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return names, nil
}

// OpenPassed returns the files that were passed to this process. Processes
// that this process starts do not inherit these files. Otherwise they would
// keep the pipes open after the death of this process.
func OpenPassed(names []string) (files []*os.File, err error) {
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("%q is not a file descriptor", name)
		}
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("file descriptor %d was not passed: %w", fd, err)
		}
		files = append(files, os.NewFile(uintptr(fd), "concert-"+name))
	}
	return files, nil
}
