package jobs

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gateOf returns a gate for flags, with the load and the free memory of a test.
func gateOf(o *options, load *atomic.Int64, notes *atomic.Int64) *gate {
	g := newGate(o, func(text string) {
		if !strings.HasPrefix(text, "waiting: ") {
			panic(text)
		}
		notes.Add(1)
	})
	g.load = func() (float64, error) { return float64(load.Load()), nil }
	g.free = func() (int64, error) { return 100 - load.Load(), nil }
	return g
}

func TestGate_Delay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateOf(&options{delay: time.Second}, new(atomic.Int64), new(atomic.Int64))
		begin := time.Now()
		done := make(chan struct{})
		for range 5 {
			go func() {
				g.pass(t.Context())
				done <- struct{}{}
			}()
		}
		for range 5 {
			<-done
		}
		if got := time.Since(begin); got != 4*time.Second {
			t.Errorf("5 jobs started within %v, want 4 s", got)
		}
	})
}

// TestGate_Closed: jobs must wait while the load is high or too little memory
// is free. One note must say so.
func TestGate_Closed(t *testing.T) {
	for name, o := range map[string]*options{"load": {load: 4}, "memory": {memFree: memory(96)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var load, notes atomic.Int64
				g := gateOf(o, &load, &notes)
				if !g.pass(t.Context()) || notes.Load() != 0 {
					t.Error("the gate is closed at load 0")
				}
				load.Store(5)
				passed := make(chan bool)
				go func() { passed <- g.pass(t.Context()) }()
				time.Sleep(time.Minute)
				select {
				case <-passed:
					t.Error("the gate is open at load 5")
				default:
				}
				load.Store(4)
				if !<-passed || notes.Load() != 1 {
					t.Errorf("%d notes, want 1", notes.Load())
				}
				load.Store(5)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if g.pass(ctx) {
					t.Error("a job has passed after the end of the run")
				}
			})
		})
	}
}

// TestGate_UnknownNumber: if the system does not have a number, check must
// return an error before the first job.
func TestGate_UnknownNumber(t *testing.T) {
	g := newGate(&options{load: 1}, func(string) {})
	g.load = func() (float64, error) { return 0, context.Canceled }
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "--load") {
		t.Errorf("check returns %v", err)
	}
}
