package choose_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
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
		{"most levels", choose.Options{Most: math.MaxInt, Runs: 100}, ""},
		{"longest budget", choose.Options{Budget: math.MaxInt64, Most: 4, Runs: 100}, ""},
		{"no bound of runs", choose.Options{Runs: math.MaxInt, Most: 4}, ""},
		{"no level", choose.Options{Most: -1}, "Options.Most is -1;"},
		{"least budget", choose.Options{Budget: math.MinInt64}, "Options.Budget is -"},
		{"least runs", choose.Options{Runs: math.MinInt}, "Options.Runs is -"},
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

// TestAdaptive_Extremes: a limit without a bound is one, and grows.
func TestAdaptive_Extremes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := func(context.Context, int) (int, error) { time.Sleep(time.Millisecond); return 0, nil }
		for _, opts := range []choose.AdaptiveOptions{
			{Most: math.MaxInt}, {Most: math.MaxInt, Start: math.MaxInt}, {Most: math.MaxInt, Least: math.MaxInt},
		} {
			opts.CPU = func() time.Duration { return 0 }
			limit := choose.Adaptive(&opts)
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			n := 0
			for _, err := range concert.MapUnordered(t.Context(), ex, work, numbers(2000)) {
				if n++; err != nil {
					t.Error(err)
				}
			}
			if n != 2000 || limit.Now() < 1 || ex.Width() < 1 {
				t.Errorf("%d results, limit %d, width %d", n, limit.Now(), ex.Width())
			}
			ex.Close()
		}
	})
}
