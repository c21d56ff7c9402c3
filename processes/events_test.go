package processes_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

var sleepBriefly = concert.Register("processes_test.sleepBriefly", func(_ context.Context, n int) (int, error) {
	time.Sleep(time.Duration(n) * time.Microsecond)
	return n, nil
})

// TestMap_FinishedOnWorker: if an item of a Map has started, the event of
// its end must name a worker. This must hold even if the pool notices the
// start of the next item before the result of this item arrives.
func TestMap_FinishedOnWorker(t *testing.T) {
	var nowhere atomic.Int64
	p := newPool(t, 4, &processes.Options{Observer: func(e concert.Event) {
		if e.Kind == concert.TaskFinished && e.Worker < 0 {
			nowhere.Add(1)
		}
	}})
	var inputs []int
	for i := range 3000 {
		inputs = append(inputs, i%10*300)
	}
	for _, err := range concert.Map(t.Context(), p, sleepBriefly, slices.Values(inputs)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := nowhere.Load(); n > 0 {
		t.Errorf("%d of %d items ended on no worker", n, len(inputs))
	}
}
