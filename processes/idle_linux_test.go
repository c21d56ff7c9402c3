package processes_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"concert"
	"concert/internal/race"
	"concert/processes"
)

// waste allocates n MiB. After waste has returned, this memory is garbage.
var waste = concert.Register("processes_test.waste", func(_ context.Context, n int) (int, error) {
	b := make([]byte, n<<20)
	for i := range b {
		b[i] = 1
	}
	return os.Getpid(), nil
})

// residentOf returns the resident memory of a process, in MiB.
func residentOf(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// TestPool_IdleMemory: when a worker has been idle for some time, it must
// return the memory of its last tasks to the system, including the memory of a
// large argument.
func TestPool_IdleMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector keeps memory; the test runs without it")
	}
	leftovers(t)
	memory := processes.ShareMemory(nothingShared) // so that the argument goes through the pipe
	p := newPool(t, 1, &processes.Options{Env: append(os.Environ(), "CONCERT_TEST_IDLE=20ms")}, memory)
	for range 2 {
		if _, err := submit(t, p, echo, make([]byte, 100<<20)).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		pid, err := submit(t, p, waste, 100).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker has less than 70 MiB", func() bool { return residentOf(t, pid) < 70 })
		works(t, p)
	}
}
