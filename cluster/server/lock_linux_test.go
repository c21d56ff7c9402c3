package server_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"concert/cluster/server"
)

// TestClose_DescriptorCopied: while this process starts another one, the new
// process has a copy of the descriptor of the lock. After Close, another server
// must be able to use the directory even if there is such a copy.
func TestClose_DescriptorCopied(t *testing.T) {
	dir := t.TempDir()
	one, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	lock, copied := filepath.Join(dir, "lock"), -1
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		fd, _ := strconv.Atoi(filepath.Base(link))
		if path, _ := os.Readlink(link); path == lock {
			if copied, err = syscall.Dup(fd); err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(copied)
		}
	}
	if copied < 0 {
		t.Fatalf("no descriptor of %s among %q", lock, links)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Close(); err != nil {
		t.Error(err)
	}
}
