package tour

import (
	"fmt"
	"testing"
	"time"
)

// TestRemark_FitsTimes: a remark must not contradict the times that it
// explains.
func TestRemark_FitsTimes(t *testing.T) {
	for _, row := range []struct {
		before, after time.Duration
		expected      expectation
		note, more    string
	}{
		{200, 100, speedup, "2.0x: why", ""},
		{125, 100, speedup, "1.25x: why", ""},
		{124, 100, speedup, "1.24x", "expected a speed-up: is the machine busy?"},
		{100, 200, speedup, "0.50x", "expected a speed-up: is the machine busy?"},
		{100, 100, noSpeedup, "1.00x: why", ""},
		{100, 200, noSpeedup, "0.50x: why", ""},
		{160, 100, noSpeedup, "1.60x", "expected no speed-up: is the machine busy?"},
	} {
		t.Run(fmt.Sprintf("%d to %d", row.before, row.after), func(t *testing.T) {
			note, more := remark(row.before, row.after, row.expected, "why")
			if note != row.note || more != row.more {
				t.Errorf("remark(%d, %d, %t) = %q, %q; want %q, %q", row.before, row.after, row.expected, note, more, row.note, row.more)
			}
		})
	}
	remark(100, 0, speedup, "why") // must not panic: the time may be 0 on a coarse clock
}
