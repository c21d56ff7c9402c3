package concert_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// TestMap_Turns: a Map that never lacks inputs lets other tasks of its executor
// run between its items.
func TestMap_Turns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		item := func(context.Context, int) (int, error) {
			time.Sleep(time.Millisecond)
			return 0, nil
		}
		begin := time.Now()
		var other *concert.Future[time.Duration]
		n := 0
		for range concert.Map(t.Context(), pool, item, slices.Values(make([]int, 100))) {
			if n++; n == 10 {
				other = concert.Submit(t.Context(), pool, func(context.Context, time.Time) (time.Duration, error) {
					return time.Since(begin), nil
				}, begin)
			}
		}
		// Ten items take 10 ms. The eleventh may have begun.
		if at, err := other.Result(t.Context()); at > 12*time.Millisecond || err != nil {
			t.Errorf("a task that was submitted after ten items ran at %v, %v; want it before the other ninety", at, err)
		}
	})
}
