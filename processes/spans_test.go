package processes

import (
	"errors"
	"math/rand/v2"
	"testing"

	"concert/internal/frame"
)

// TestSpans: no byte is given out twice, and places are found as long as there
// are any behind the newest, or before the oldest.
func TestSpans(t *testing.T) {
	const size = 64 * placeUnit
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := spans{size: size}
		var used [size]bool     // the slow way
		var places []frame.Span // the oldest first
		for range 500 {
			if n := len(places); n > 0 && r.IntN(5) < 2 {
				back := 1 + r.IntN(n)
				for _, at := range places[:back] {
					clear(used[at.Offset : at.Offset+at.Length])
				}
				places = places[back:]
				s.give(back)
				continue
			}
			n := 1 + r.IntN(20*placeUnit)
			at, ok := s.take(n)
			if !ok {
				if largest := longestFree(used[:], places); largest >= n+placeUnit {
					t.Fatalf("seed %d: no place for %d bytes, and %d are free in a row", seed, n, largest)
				}
				continue
			}
			if at.Length != uint64(n) || at.Offset%placeUnit != 0 || at.Offset+at.Length > size {
				t.Fatalf("seed %d: place %+v for %d bytes", seed, at, n)
			}
			for i := at.Offset; i < at.Offset+at.Length; i++ {
				if used[i] {
					t.Fatalf("seed %d: byte %d is given out twice", seed, i)
				}
				used[i] = true
			}
			places = append(places, at)
		}
	}
}

// longestFree is how many bytes are free in a row, behind the newest place or
// at the beginning before the oldest.
func longestFree(used []bool, places []frame.Span) int {
	run := func(from int) (n int) {
		for from+n < len(used) && !used[from+n] {
			n++
		}
		return n
	}
	if len(places) == 0 {
		return len(used)
	}
	newest := places[len(places)-1]
	behind := int(newest.Offset+newest.Length+placeUnit-1) / placeUnit * placeUnit
	if newest.Offset < places[0].Offset {
		return run(behind)
	}
	return max(run(behind), run(0))
}

func TestWithin(t *testing.T) {
	half := make([]byte, 100)
	for _, at := range []frame.Span{{Offset: 0, Length: 100}, {Offset: 100}, {Offset: 99, Length: 1}} {
		if b, err := within(half, at); len(b) != int(at.Length) || cap(b) != len(b) || err != nil {
			t.Errorf("within(%+v) = %d bytes, %v", at, len(b), err)
		}
	}
	for _, at := range []frame.Span{{Length: 101}, {Offset: 101}, {Offset: 50, Length: 51}, {Offset: 1<<64 - 1, Length: 2}, {Offset: 1, Length: 1<<64 - 1}} {
		if b, err := within(half, at); b != nil || !errors.Is(err, frame.ErrFrame) {
			t.Errorf("within(%+v) = %d bytes, %v; want ErrFrame", at, len(b), err)
		}
	}
}
