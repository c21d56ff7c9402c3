package processes

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestSealed is a part of row 20: whoever has the file cannot make it shorter,
// which would kill the other side, nor longer.
func TestSealed(t *testing.T) {
	mem, file, err := newShared("concert-test", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer unmapShared(mem)
	for _, size := range []int64{0, 1<<20 - 4096, 2 << 20} {
		if err := file.Truncate(size); !errors.Is(err, syscall.EPERM) {
			t.Errorf("Truncate(%d) = %v, want EPERM", size, err)
		}
	}
	again, err := os.OpenFile(fmt.Sprint("/proc/self/fd/", file.Fd()), os.O_RDWR|os.O_TRUNC, 0)
	if err == nil {
		again.Close()
		t.Error("it could be opened and emptied")
	}
	mem[1<<20-1] = 1 // is there
}
