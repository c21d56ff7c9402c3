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
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	for _, f := range files {
		h := syscall.Handle(f.Fd())
		if err := syscall.SetHandleInformation(h, syscall.HANDLE_FLAG_INHERIT, syscall.HANDLE_FLAG_INHERIT); err != nil {
			return nil, fmt.Errorf("pass a pipe: %w", err)
		}
		cmd.SysProcAttr.AdditionalInheritedHandles = append(cmd.SysProcAttr.AdditionalInheritedHandles, h)
		names = append(names, strconv.FormatUint(uint64(h), 10))
	}
	return names, nil
}

// OpenPassed returns the files that were passed to this process.
func OpenPassed(names []string) (files []*os.File, err error) {
	for _, name := range names {
		h, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a handle", name)
		}
		if err := syscall.SetHandleInformation(syscall.Handle(h), syscall.HANDLE_FLAG_INHERIT, 0); err != nil {
			return nil, fmt.Errorf("handle %d was not passed: %w", h, err)
		}
		files = append(files, os.NewFile(uintptr(h), "concert-"+name))
	}
	return files, nil
}
