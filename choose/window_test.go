package choose

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestWindow_Rate: if results arrive in bursts, the rate of a window must be
// correct, whether its ends are within a burst or not.
func TestWindow_Rate(t *testing.T) {
	for _, c := range []struct {
		name         string
		burst, level int
	}{
		{"all workers at once", 8, 8},
		{"a server of lower capacity", 6, 32},
		{"one by one", 1, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			const period = 30e6 // between bursts; the rate is burst/30 ms
			var all []int64
			for i := range 40 * c.burst {
				all = append(all, int64(i/c.burst+1)*period+int64(i%c.burst)*1e5)
			}
			want := float64(c.burst) / 0.03
			for first := range 3 * c.level {
				for _, n := range []int{2 * c.level, 3*c.level - 1, 4 * c.level} {
					if first+n > len(all) {
						continue
					}
					w := window{lag: c.level}
					for _, at := range all[first : first+n] {
						w.arrivals = append(w.arrivals, time.Duration(at))
					}
					got := w.rate(time.Duration(all[first+n-1]))
					if math.Abs(got/want-1) > 0.1 {
						t.Fatalf("rate of %[2]d results from %[1]d = %[3].1f, want %[4].1f", first, n, got, want)
					}
				}
			}
		})
	}
	few := window{lag: 4, arrivals: slices.Repeat([]time.Duration{1}, 4)}
	if got := few.rate(10); got != 0 {
		t.Errorf("rate of four results at level four = %v, want 0", got)
	}
}
