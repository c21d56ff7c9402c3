package shm

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestNew_SealsFile: a process that has the file must not be able to extend or
// shrink it. If the file became smaller, the next access to the memory would
// kill the other process.
func TestNew_SealsFile(t *testing.T) {
	mem, file, err := New("concert-test", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer Unmap(mem)
	for _, size := range []int64{0, 1<<20 - 4096, 2 << 20} {
		if err := file.Truncate(size); !errors.Is(err, syscall.EPERM) {
			t.Errorf("Truncate(%d) = %v, want EPERM", size, err)
		}
	}
	again, err := os.OpenFile(fmt.Sprint("/proc/self/fd/", file.Fd()), os.O_RDWR|os.O_TRUNC, 0)
	if err == nil {
		again.Close()
		t.Error("the file could be opened and truncated")
	}
	mem[1<<20-1] = 1 // the memory is still there
}
