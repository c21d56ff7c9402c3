package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestGetFullDisk downloads onto a disk of 64 KiB: the files that fit are
// there, the one that does not is named with the reason.
func TestGetFullDisk(t *testing.T) {
	_, site := newFaulty(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small disk can be made here, which needs the right to mount: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	args := []string{"get", "-d", dir, "--jobs", "1", "--retry-delay", "1ms"}
	for _, name := range "abcdefghij" { // of 10 kB each
		args = append(args, site+"/"+string(name))
	}
	code, out, errOut := call(t.Context(), args...)
	if code != exitFailed || !strings.Contains(errOut, "no space left on device") || !strings.Contains(out, filepath.Join(dir, "a")) {
		t.Errorf("exit %d: %s", code, errOut)
	}
	for _, name := range names(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !strings.Contains(name, ".part") && info.Size() != int64(len(body(name))) {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
}
