package shm

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCatchFault: CatchFault must return ErrNoMemory after a memory fault.
// It must not recover from any other panic.
func TestCatchFault(t *testing.T) {
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	for name, do := range map[string]func(){
		"write": func() { mem[1] = 1 },
		"read":  func() { bytes.Clone(mem) },
		"copy":  func() { copy(mem, make([]byte, 4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := CatchFault(do); !errors.Is(err, ErrNoMemory) {
				t.Errorf("%s: %v, want ErrNoMemory", name, err)
			}
		})
	}
	if err := CatchFault(func() {}); err != nil {
		t.Error(err)
	}
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("panic %v, want mine", v)
		}
	}()
	CatchFault(func() { panic("mine") })
}
