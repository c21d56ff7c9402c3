package dashboard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTimes_Quantile compares the quantiles with the quantiles of the sorted
// durations.
func TestTimes_Quantile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, most := range []time.Duration{5, 100, 20 * time.Microsecond, time.Second, 20 * time.Hour} {
		t.Run(most.String(), func(t *testing.T) {
			var h times
			var all []time.Duration
			for range 5000 {
				d := time.Duration(r.Int64N(int64(most)))
				all = append(all, d)
				h.add(d)
			}
			slices.Sort(all)
			for _, q := range []float64{0, 0.5, 0.95, 0.99} {
				want := all[max(0, int(math.Ceil(q*5000))-1)]
				if got := h.quantile(q); float64((got - want).Abs()) > 0.0626*float64(want) {
					t.Errorf("quantile %v is %v, want %v", q, got, want)
				}
			}
			if got, want := h.longest(), all[4999]; float64((got - want).Abs()) > 0.0626*float64(want) {
				t.Errorf("the longest is %v, want %v", got, want)
			}
		})
	}
	var few times
	few.add(time.Second)
	few.add(2 * time.Second)
	if got := few.quantile(0.5); got > 1100*time.Millisecond {
		t.Errorf("the median of 1 s and 2 s is %v; the statistics say 1 s", got)
	}
	var h times
	h.add(-1)
	h.add(1 << 62)
	if got := h.quantile(0); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
}

// TestFunctions_Many: functions beyond the bound must share one row. The
// numbers of a period must be multiplied by its factor.
func TestFunctions_Many(t *testing.T) {
	var f functions
	total := int64(0)
	for i := range 3 * maxFunctions {
		f.add(map[string]*function{fmt.Sprint("f", i): {done: 10, failed: 1}}, 1.5)
		total += 15
	}
	rows := f.rows()
	if len(rows) != maxFunctions+1 || rows[0].Name != others {
		t.Fatalf("%d rows, the first one is %+v", len(rows), rows[0])
	}
	for _, r := range rows {
		total -= r.Done
	}
	if total != 0 {
		t.Errorf("%d tasks are missing", total)
	}
}
