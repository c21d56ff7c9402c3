package executor_test

import (
	"context"
	"testing"
	"testing/synctest"

	"concert"
	"concert/executor"
)

// byHand is an executor whose calls the test claims and settles.
type byHand struct {
	group *executor.WorkerGroup
	tasks chan *executor.Task
}

func newByHand() *byHand {
	e := &byHand{tasks: make(chan *executor.Task, 8)}
	e.group = executor.NewRemoteGroup(e, executor.Limits{}, nil)
	return e
}

func (e *byHand) Execute(_ context.Context, t *executor.Task) error {
	e.group.Adopt(t)
	e.tasks <- t
	return nil
}
func (*byHand) Width() int                         { return 2 }
func (e *byHand) Stats() executor.Stats            { return e.group.Stats() }
func (e *byHand) Watch(o executor.Observer) func() { return e.group.Watch(o) }
func (*byHand) Close() error                       { return nil }
func (*byHand) Shutdown(context.Context) error     { return nil }
func (*byHand) Again(*executor.Task)               { panic("no worker here") }
func (*byHand) Withdraw(*executor.Task) bool       { return true }
func (*byHand) Dropped()                           {}

// claim waits until the goroutines of the Map are blocked, and then claims at
// most the given number of calls of the queued tasks.
func (e *byHand) claim(most int) (batch *executor.Batch) {
	synctest.Wait()
	for batch == nil && len(e.tasks) > 0 {
		t := <-e.tasks
		var again bool
		if batch, again = t.Claim(most, 1<<20); again {
			e.tasks <- t
		}
	}
	return batch
}

var sized = concert.Register("concert_test.sized", func(_ context.Context, size int) ([]byte, error) {
	return make([]byte, size), nil
})

// TestMap_LargeResults: a Map keeps few large results in memory, even if the
// arguments are small.
func TestMap_LargeResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			size    = 1 << 20
			settled = 200
			most    = 16
			ahead   = 32 // maximum number of such calls that are claimed ahead of the results
		)
		ctx, cancel := context.WithCancel(t.Context())
		ex := newByHand()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range concert.Map(ctx, ex, sized, func(yield func(int) bool) {
				for yield(size) {
				}
			}) {
			}
		}()
		settle := func(b *executor.Batch) {
			for i := range b.Args {
				result, err := executor.Invoke(ctx, b.Name, b.Args[i])
				b.Settle(i, 0, result, err)
			}
		}
		for n := 0; n < settled; {
			b := ex.claim(most)
			settle(b)
			n += len(b.Args)
		}
		var held []*executor.Batch
		n := 0
		for b := ex.claim(most); b != nil; b = ex.claim(1) { // one call at a time
			held = append(held, b)
			n += len(b.Args)
		}
		if n > ahead {
			t.Errorf("%d calls of a MiB each are ahead of the results; want at most %d", n, ahead)
		}
		cancel()
		for _, b := range held {
			settle(b)
		}
		for b := ex.claim(most); b != nil; b = ex.claim(most) {
			settle(b)
		}
		<-ended
	})
}
