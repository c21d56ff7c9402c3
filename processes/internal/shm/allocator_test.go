package shm

import (
	"math/rand/v2"
	"testing"

	"concert/internal/frame"
)

// TestAllocator: no byte may be allocated twice, and Allocate must succeed if
// there is room after the newest span or before the oldest one.
func TestAllocator(t *testing.T) {
	const size = 64 * alignment
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := Allocator{size: size}
		var used [size]bool    // the model
		var spans []frame.Span // the oldest first
		for range 500 {
			if n := len(spans); n > 0 && r.IntN(5) < 2 {
				back := 1 + r.IntN(n)
				for _, at := range spans[:back] {
					clear(used[at.Offset : at.Offset+at.Length])
				}
				spans = spans[back:]
				s.Free(back)
				continue
			}
			n := 1 + r.IntN(20*alignment)
			at, ok := s.Allocate(n)
			if !ok {
				if largest := longestFree(used[:], spans); largest >= n+alignment {
					t.Fatalf("seed %d: Allocate finds no room for %d bytes, but %d contiguous bytes are free", seed, n, largest)
				}
				continue
			}
			if at.Length != uint64(n) || at.Offset%alignment != 0 || at.Offset+at.Length > size {
				t.Fatalf("seed %d: span %+v for %d bytes", seed, at, n)
			}
			for i := at.Offset; i < at.Offset+at.Length; i++ {
				if used[i] {
					t.Fatalf("seed %d: byte %d is allocated twice", seed, i)
				}
				used[i] = true
			}
			spans = append(spans, at)
		}
	}
}

// longestFree returns the larger one of two lengths: the length of the free
// range after the newest span, and of the free range before the oldest span.
func longestFree(used []bool, spans []frame.Span) int {
	run := func(from int) (n int) {
		for from+n < len(used) && !used[from+n] {
			n++
		}
		return n
	}
	if len(spans) == 0 {
		return len(used)
	}
	newest := spans[len(spans)-1]
	behind := int(newest.Offset+newest.Length+alignment-1) / alignment * alignment
	if newest.Offset < spans[0].Offset {
		return run(behind)
	}
	return max(run(behind), run(0))
}
