package executor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"concert"
	"concert/internal/loopback"
)

// widening is an executor whose width grows.
type widening struct {
	*loopback.Executor
	width atomic.Int64
}

func (w *widening) Width() int { return int(w.width.Load()) }

var (
	widthGates atomic.Pointer[[]chan struct{}]
	passGate   = concert.Register("concert_test.passGate", func(_ context.Context, n int) (int, error) {
		<-(*widthGates.Load())[n]
		return n, nil
	})
)

// TestMap_ExecutorGrows: if an executor grows while the first call of a Map is
// slow, the Map takes more inputs before that call returns.
func TestMap_ExecutorGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gates := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		widthGates.Store(&gates)
		close(gates[2]) // there is nothing to wait for
		ex := &widening{Executor: loopback.New(2, loopback.Options{})}
		defer ex.Close()
		ex.width.Store(1)
		busy := []*concert.Future[int]{concert.Submit(t.Context(), ex, passGate, 0), concert.Submit(t.Context(), ex, passGate, 0)}
		var quick atomic.Int64
		done := make(chan int)
		go func() {
			n := 0
			for range concert.Map(t.Context(), ex, passGate, func(yield func(int) bool) {
				for i := range 30 {
					gate := 2
					if i == 0 {
						gate = 1
					}
					if quick.Add(1); !yield(gate) {
						return
					}
				}
			}) {
				n++
			}
			done <- n
		}()
		synctest.Wait() // the workers are busy, and the Map has taken as many inputs as one worker needs
		before := quick.Load()
		ex.width.Store(4)
		close(gates[0])
		synctest.Wait()
		if after := quick.Load(); after <= before {
			t.Errorf("%d inputs were taken for a narrow executor, and %d for a wide one", before, after)
		}
		close(gates[1])
		if n := <-done; n != 30 {
			t.Errorf("%d results", n)
		}
		for _, f := range busy {
			f.Result(t.Context())
		}
	})
}
