package gil_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"concert/gil"
)

// TestNew_LongestInterval: with the longest interval no checkpoint is a forced
// switch.
func TestNew_LongestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(&gil.Options{Interval: math.MaxInt64})
		time.Sleep(time.Hour)
		begin := clock(time.Now())
		var first, second time.Duration
		go l.Do(func(h gil.Held) {
			compute(h, 20*time.Millisecond)
			first = begin.since()
		})
		time.Sleep(500 * time.Microsecond)
		l.Do(func(gil.Held) { second = begin.since() })
		synctest.Wait()
		if s := l.Stats(); first != 20*time.Millisecond || second != first || s.Forced != 0 {
			t.Errorf("the first was done at %v, the second began at %v, with %+v; want 20 ms, and no forced switch", first, second, s)
		}
	})
}
