package main

import "syscall"

// mountMemory mounts a file system in memory on a directory.
func mountMemory(dir, options string) (unmount func(), err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return nil, err
	}
	return func() { syscall.Unmount(dir, 0) }, nil
}

// makeMountReadOnly makes the file system of mountMemory read-only.
func makeMountReadOnly(dir string) error {
	return syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}
