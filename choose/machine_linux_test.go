package choose

import (
	"testing"
	"time"
)

// TestProcessors_StolenFrom: the part of the steal time that belongs to the
// work must be in proportion to the work's share of the CPU time of all
// programs. It must be at most twice the CPU time of the work.
func TestProcessors_StolenFrom(t *testing.T) {
	before := processors{busy: 1000, stolen: 100, total: 5000}
	for _, c := range []struct {
		name         string
		now          processors
		used, stolen time.Duration
	}{
		{"no steal time", processors{1010, 100, 5020}, 100 * time.Millisecond, 0},
		{"half of the time of CPU-bound work", processors{1020, 110, 5020}, 100 * time.Millisecond, 100 * time.Millisecond},
		{"work that only waits", processors{1020, 110, 5020}, 0, 0},
		{"two programs that compute", processors{1030, 110, 5040}, 100 * time.Millisecond, 50 * time.Millisecond},
		{"clocks that differ", processors{1015, 110, 5020}, 100 * time.Millisecond, 100 * time.Millisecond},
		{"all of the time", processors{1010, 110, 5020}, 0, 0},
		{"mostly while the work waits", processors{1011, 110, 5020}, 10 * time.Millisecond, 20 * time.Millisecond},
	} {
		if got := c.now.stolenFrom(before, c.used); got != c.stolen {
			t.Errorf("%s: %v, want %v", c.name, got, c.stolen)
		}
	}
	if got := before.stolenFrom(processors{}, time.Second); got != 0 {
		t.Errorf("stolenFrom(zero) = %v, want 0", got)
	}
}
