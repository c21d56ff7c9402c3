package choose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"concert/choose/usage"
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

// TestAddSteal_SeveralProcessors: if a run computes on several processors, the
// elapsed time without the delay is less than the CPU time. Steal time must not
// hide this.
func TestAddSteal_SeveralProcessors(t *testing.T) {
	defer func(file string) { statFile = file }(statFile)
	statFile = filepath.Join(t.TempDir(), "stat")
	write := func(ran, stolen int) {
		if err := os.WriteFile(statFile, fmt.Appendf(nil, "cpu %d 0 0 0 0 0 0 %d\n", ran, stolen), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(100, 10)
	before := readProcessors()
	write(115, 15)
	const ms = time.Millisecond
	for _, c := range []struct{ cpu, delay, want time.Duration }{
		{150 * ms, 20 * ms, 20 * ms},
		{80 * ms, 10 * ms, 20 * ms},
		{30 * ms, 10 * ms, 20 * ms},
	} {
		sum := usage.Usage{Wall: 100 * ms, CPU: c.cpu, RunDelay: c.delay}
		if addSteal(&sum, before); sum.RunDelay != c.want {
			t.Errorf("%v of CPU time in %v: the delay is %v, want %v", c.cpu, sum.Wall, sum.RunDelay, c.want)
		}
	}
}

// TestMeasure_MaxRunsWithSteal: measurements that are repeated because of steal
// time must not exceed MaxRuns.
func TestMeasure_MaxRunsWithSteal(t *testing.T) {
	defer func(file string) { statFile = file }(statFile)
	statFile = filepath.Join(t.TempDir(), "stat")
	for runs := 21; runs < 30; runs++ {
		synctest.Test(t, func(t *testing.T) {
			ticks := 0
			work := func(context.Context, int) (int, error) {
				time.Sleep(30 * time.Millisecond)
				ticks += 10 // half of them stolen
				return 0, os.WriteFile(statFile, fmt.Appendf(nil, "cpu %d 0 0 0 0 0 0 %d\n", ticks, ticks), 0o666)
			}
			report, err := Run(t.Context(), work, []int{1}, []Model{Sequential()}, &Options{MaxRuns: runs})
			if err != nil {
				t.Fatal(err)
			}
			if report.Runs > runs || report.Remeasured == 0 {
				t.Errorf("%d runs, %d measurements repeated; want at most %d runs, and at least one repeated", report.Runs, report.Remeasured, runs)
			}
		})
	}
}
