package processes_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"concert"
	"concert/processes"
	"concert/processes/internal/shm"
)

// arenaWithoutPages returns a replacement for shm.New. The arena that it
// makes lacks pages in this process, as if the system had no memory for
// them. The pages are missing in the half of arguments if arguments is true,
// and in the half of results if results is true. In such a half, only the
// bytes before the offset can be accessed. The parameter behind is the
// offset.
func arenaWithoutPages(arguments, results bool, behind int) func(string, int) ([]byte, *os.File, error) {
	return func(name string, size int) ([]byte, *os.File, error) {
		mem, file, err := shm.New(name, size)
		if err != nil || !strings.Contains(name, "arena") {
			return mem, file, err
		}
		half := len(mem) / 2
		if arguments {
			err = unix.Mprotect(mem[behind:half], unix.PROT_NONE)
		}
		if results && err == nil {
			err = unix.Mprotect(mem[half+behind:], unix.PROT_NONE)
		}
		return mem, file, err
	}
}

// TestArena_NoPage: if the system has no memory for a page of the arena, the
// first access to the page causes a signal. This process must survive the
// signal. An argument must be sent through the pipe instead, and a task whose
// result cannot be read must fail with ErrMemory.
func TestArena_NoPage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, behind := range []int{0, 256 << 10} {
		t.Run(fmt.Sprintf("arguments behind %d", behind), func(t *testing.T) {
			leftovers(t)
			memory := processes.ShareMemory(arenaWithoutPages(true, false, behind))
			p := newPool(t, 2, nil, memory)
			for range concert.Map(t.Context(), p, nop, numbers(1000)) { // after quick calls, the pool sends many calls together
			}
			inputs := make([][]byte, 300)
			for i := range inputs {
				size := random.IntN(100 << 10)
				if random.IntN(3) == 0 {
					size = random.IntN(100)
				}
				inputs[i] = randomBytes(random, size)
			}
			i := 0
			for got, err := range concert.Map(t.Context(), p, echo, slices.Values(inputs)) {
				if err != nil || !bytes.Equal(got, inputs[i]) {
					t.Errorf("value %d: %d bytes, want %d; %v", i, len(got), len(inputs[i]), err)
				}
				i++
			}
			if i != len(inputs) {
				t.Errorf("%d results of %d", i, len(inputs))
			}
		})
		t.Run(fmt.Sprintf("results behind %d", behind), func(t *testing.T) {
			leftovers(t)
			memory := processes.ShareMemory(arenaWithoutPages(false, true, behind))
			p := newPool(t, 1, nil, memory)
			pid, err := submit(t, p, pidOf, 0).Result(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := submit(t, p, bytesOf, 100<<10).Result(t.Context()); behind == 0 && !errors.Is(err, processes.ErrMemory) || behind > 0 && (err != nil || len(got) != 100<<10) {
				t.Errorf("100 KiB: %d bytes, %v", len(got), err)
			}
			if _, err := submit(t, p, bytesOf, 1<<20).Result(t.Context()); !errors.Is(err, processes.ErrMemory) {
				t.Errorf("bytes, which are not decoded: %v, want ErrMemory", err)
			}
			if _, err := submit(t, p, words, 100_000).Result(t.Context()); !errors.Is(err, processes.ErrMemory) {
				t.Errorf("words, which are decoded: %v, want ErrMemory", err)
			}
			if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
				t.Errorf("the pid of the worker was %d and is %d, %v", pid, again, err)
			}
		})
	}
}
