package shm

import (
	"bytes"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sealedCopy returns a second descriptor of a sealed file.
func sealedCopy(t *testing.T, b []byte) *os.File {
	t.Helper()
	file, err := Seal("concert-result", b)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestMapResult_Guard: after the release of a result, an access to its
// addresses must fault, and no other mapping may get these addresses.
func TestMapResult_Guard(t *testing.T) {
	b := bytes.Repeat([]byte{7}, 100_000)
	var released [][]byte
	for range 10 {
		mem, release, err := MapResult(sealedCopy(t, b), len(b))
		if err != nil || !bytes.Equal(mem, b) {
			t.Fatalf("MapResult() = %d bytes, %v", len(mem), err)
		}
		mem[1] = 8
		release()
		released = append(released, mem)
	}
	for _, mem := range released {
		if !faults(func() { seen = mem[50_000] }) {
			t.Errorf("an access to a released result did not fault")
		}
	}
}

// TestMapResult_LimitedAddresses: if the address space of the process is
// limited, a released result must not occupy addresses.
func TestMapResult_LimitedAddresses(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_AS, &limit)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: min(limit.Max, 1<<46), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	before := results.guardBytes
	_, release, err := MapResult(sealedCopy(t, make([]byte, 100_000)), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if results.guardBytes > before {
		t.Errorf("the guards occupy %d more bytes of addresses", results.guardBytes-before)
	}
}

var seen byte

// faults calls the function access, and reports whether it accesses invalid
// memory.
func faults(access func()) (fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fault = recover() != nil }()
	access()
	return false
}

// TestMapResult_Bounds: at most MaxResults results may be mapped, and the
// number of guards is limited. Further results must be copies.
func TestMapResult_Bounds(t *testing.T) {
	b := []byte("result")
	var releases []func()
	for range MaxResults {
		_, release, err := MapResult(sealedCopy(t, b), len(b))
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	if results.mapped != MaxResults {
		t.Errorf("%d results are mapped, want %d", results.mapped, MaxResults)
	}
	mem, release, err := MapResult(sealedCopy(t, b), len(b))
	if err != nil || !bytes.Equal(mem, b) || results.mapped != MaxResults {
		t.Errorf("MapResult above the limit = %q, %v; %d results are mapped", mem, err, results.mapped)
	}
	release()
	for _, release := range releases {
		release()
	}
	if results.mapped != 0 || len(results.guards) != maxGuards {
		t.Errorf("after their release, %d results are mapped, and there are %d guards, want %d", results.mapped, len(results.guards), maxGuards)
	}
}

// TestMapResult_Size: MapResult must refuse a file that does not have the
// given size.
func TestMapResult_Size(t *testing.T) {
	if _, _, err := MapResult(sealedCopy(t, make([]byte, 10)), 11); !errors.Is(err, ErrUnsealed) {
		t.Errorf("MapResult of a file with another size: %v", err)
	}
}

// TestMapResult_WithoutSeals: if a file in memory has no seals, the error
// must say which seals it has. It must not end with a nil error.
func TestMapResult_WithoutSeals(t *testing.T) {
	fd, err := unix.MemfdCreate("concert-result", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = MapResult(os.NewFile(uintptr(fd), "concert-result"), 0)
	if !errors.Is(err, ErrUnsealed) || !strings.Contains(err.Error(), "seals 0x0") || strings.Contains(err.Error(), "nil") {
		t.Errorf("MapResult of a file without seals: %v", err)
	}
}
