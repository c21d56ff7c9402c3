package processes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/processes/internal/shm"
)

// words returns n words. The result is encoded as CBOR.
var words = concert.Register("processes_test.words", func(_ context.Context, n int) ([]string, error) {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("word ", i)
	}
	return all, nil
})

// double has an argument and a result that are encoded as arrays of numbers.
var double = concert.Register("processes_test.double", func(_ context.Context, in []float64) ([]float64, error) {
	for i := range in {
		in[i] *= 2
	}
	return in, nil
})

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestArena_LargeValues: if many calls run concurrently, values of all sizes
// must arrive unchanged. This must hold for a large arena, for a small one,
// and without an arena.
func TestArena_LargeValues(t *testing.T) {
	for name, share := range map[string]func(string, int) ([]byte, *os.File, error){
		"an arena": shm.New,
		"a small arena": func(name string, size int) ([]byte, *os.File, error) {
			if strings.Contains(name, "arena") {
				size = min(size, 300<<10)
			}
			return shm.New(name, size)
		},
		"no arena": func(name string, size int) ([]byte, *os.File, error) {
			if strings.Contains(name, "arena") {
				return nil, nil, syscall.ENOSPC
			}
			return shm.New(name, size)
		},
		"no shared memory": nothingShared,
	} {
		t.Run(name, func(t *testing.T) {
			leftovers(t)
			memory := processes.ShareMemory(share)
			p := newPool(t, 2, nil, memory)
			r := rand.New(rand.NewPCG(1, 2))
			var futures []*concert.Future[[]byte]
			var sent [][]byte
			for range 400 {
				size := 1<<r.IntN(18) + r.IntN(1000)
				if r.IntN(2) == 0 {
					size = 16<<10 + r.IntN(8<<10) // small enough that one worker gets several calls
				}
				b := randomBytes(r, size)
				sent = append(sent, b)
				futures = append(futures, submit(t, p, echo, b))
			}
			for i, f := range futures {
				if got, err := f.Result(t.Context()); !bytes.Equal(got, sent[i]) || err != nil {
					t.Errorf("%d bytes returned as %d, %v", len(sent[i]), len(got), err)
				}
			}
			inputs := func(yield func(int) bool) {
				for n := 1; n < 1<<17 && yield(n); n *= 2 {
				}
			}
			n := 1
			for got, err := range concert.Map(t.Context(), p, words, inputs) {
				if len(got) != n || got[n-1] != fmt.Sprint("word ", n-1) || err != nil {
					t.Errorf("%d words arrived as %d, %v", n, len(got), err)
				}
				n *= 2
			}
			numbers := make([]float64, 1<<16)
			for i := range numbers {
				numbers[i] = float64(i)
			}
			got, err := submit(t, p, double, numbers).Result(t.Context())
			if err != nil || len(got) != len(numbers) || numbers[5] != 5 {
				t.Fatalf("%d numbers, %v", len(got), err)
			}
			for i := range got {
				if got[i] != 2*float64(i) {
					t.Fatalf("number %d arrived as %v", i, got[i])
				}
			}
		})
	}
}

// TestArena_WorkerOverwritesResults: if a worker overwrites the memory of its
// results before, while and after the pool reads them, the results may be
// wrong. But a value that the pool has returned must not change later.
func TestArena_WorkerOverwritesResults(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, misbehave, "overwrite-results").Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var got [][]byte
	var sums [][sha256.Size]byte
	for range 100 {
		b, err := submit(t, p, echo, randomBytes(r, 100_000)).Result(t.Context())
		if err != nil || len(b) != 100_000 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		got, sums = append(got, b), append(sums, sha256.Sum256(b))
		submit(t, p, words, 10_000).Result(t.Context()) // any outcome is permitted, but this process must live
	}
	for i, b := range got {
		if sha256.Sum256(b) != sums[i] {
			t.Errorf("result %d has changed", i)
		}
	}
}

// TestArena_Trim: when a worker is idle after calls with large values, the
// pool must return the memory of these values to the system.
func TestArena_Trim(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	for range 2 {
		if _, err := submit(t, p, echo, make([]byte, 8<<20)).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kb := arenaResident(t); kb < 16<<10 {
			t.Errorf("%d KiB of the arena are in memory after an argument and a result of 8 MiB", kb)
		}
		eventually(t, "the memory is returned", func() bool { return arenaResident(t) == 0 })
		works(t, p)
	}
}

// arenaResident returns the memory that the arenas of this process use, in
// KiB.
func arenaResident(t *testing.T) (sum int) {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	in := false
	for line := range strings.Lines(string(smaps)) {
		var kb int
		switch {
		case strings.Contains(line, "memfd:"):
			in = strings.Contains(line, "concert-arena")
		case in && strings.HasPrefix(line, "Rss:"):
			fmt.Sscanf(line, "Rss: %d kB", &kb)
			sum += kb
			in = false
		}
	}
	return sum
}

// programFileSize sets RLIMIT_FSIZE to 100 KiB, which also limits shared
// memory, and sends 1 MiB to a worker and back.
func programFileSize([]string) error {
	var limit syscall.Rlimit
	const fileSize = 1 // syscall has no name for RLIMIT_FSIZE
	if err := syscall.Getrlimit(fileSize, &limit); err != nil {
		return err
	}
	limit.Cur = 100 << 10
	if err := syscall.Setrlimit(fileSize, &limit); err != nil {
		return err
	}
	p, err := processes.New(1, nil)
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	if got, err := concert.Submit(context.Background(), p, echo, b).Result(context.Background()); len(got) != len(b) || err != nil {
		return fmt.Errorf("the result has %d bytes, %w; want %d", len(got), err, len(b))
	}
	return p.Close()
}

// TestArena_FileSizeLimit: if RLIMIT_FSIZE is smaller than the shared memory, a
// pool must work, and no signal may end its process. The test sets the limit in
// another process, because the limit also holds for files that the testing
// package writes.
func TestArena_FileSizeLimit(t *testing.T) {
	if out, err := program(t, "file size").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// lazyArg is an argument whose encoding takes the time in the field Time.
type lazyArg struct{ Time time.Duration }

func (a lazyArg) MarshalCBOR() ([]byte, error) {
	time.Sleep(a.Time)
	return []byte{0x01}, nil
}

func (a *lazyArg) UnmarshalCBOR([]byte) error { return nil }

var sevens = concert.Register("processes_test.sevens", func(context.Context, lazyArg) ([]byte, error) {
	if manySevens == nil {
		manySevens = bytes.Repeat([]byte{7}, 1<<20)
	}
	return manySevens, nil
})

var manySevens []byte

// TestArena_TrimWhileClaiming: if the pool claims a call that will use the
// arena, it must not trim the arena during the claim.
func TestArena_TrimWhileClaiming(t *testing.T) {
	leftovers(t)
	trim := processes.Trim(5*time.Millisecond, 50*time.Millisecond)
	p := newPool(t, 1, nil, trim)
	for try := range 5 {
		got, err := submit(t, p, sevens, lazyArg{20 * time.Millisecond}).Result(t.Context())
		if err != nil || len(got) != 1<<20 || bytes.Count(got, []byte{7}) != len(got) {
			t.Fatalf("try %d: %d sevens of %d, %v", try, bytes.Count(got, []byte{7}), len(got), err)
		}
	}
}
