package main

import "syscall"

// mountMemory mounts a file system in memory on a directory.
func mountMemory(dir, options string, readOnly bool) (unmount func(), err error) {
	flags := uintptr(0)
	if readOnly {
		flags = syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		return nil, err
	}
	return func() { syscall.Unmount(dir, 0) }, nil
}
