package choose_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert/choose"
)

// TestRun_Extremes: the largest numbers in the options are numbers as others;
// the smallest are panics that name them.
func TestRun_Extremes(t *testing.T) {
	work := func(context.Context, int) (int, error) { time.Sleep(20 * time.Millisecond); return 0, nil }
	models := []choose.Model{{Name: "plain loop"}, onGoroutines()}
	for _, c := range []struct {
		name string
		opts choose.Options
		want string
	}{
		{"most levels", choose.Options{MaxConcurrency: math.MaxInt, MaxRuns: 100}, ""},
		{"longest budget", choose.Options{Budget: math.MaxInt64, MaxConcurrency: 4, MaxRuns: 100}, ""},
		{"no bound of runs", choose.Options{MaxRuns: math.MaxInt, MaxConcurrency: 4}, ""},
		{"negative concurrency", choose.Options{MaxConcurrency: -1}, "Options.MaxConcurrency is -1;"},
		{"least budget", choose.Options{Budget: math.MinInt64}, "Options.Budget is -"},
		{"least runs", choose.Options{MaxRuns: math.MinInt}, "Options.MaxRuns is -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer func() {
					if got := fmt.Sprint(recover()); c.want == "" && got != "<nil>" || !strings.Contains(got, c.want) {
						t.Errorf("panic text %q, want %q in it", got, c.want)
					}
				}()
				if r, err := choose.Run(t.Context(), work, []int{1, 2, 3}, models, &c.opts); err != nil || r == nil {
					t.Errorf("Run() = %v, %v", r, err)
				}
			})
		})
	}
}
