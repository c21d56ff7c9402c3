package metrics

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"concert/executor"
)

// source is an executor whose Stats is a function of the test.
type source func() executor.Stats

func (f source) Stats() executor.Stats { return f() }

func newReader(f source) *Reader { return &Reader{source: f, wait: time.Minute} }

func TestReader(t *testing.T) {
	r := newReader(func() executor.Stats {
		return executor.Stats{Done: 9, Failed: executor.Failures{Errors: 1, WorkerDeaths: 2}}
	})
	s, outcomes, err := r.Read(t.Context())
	want := Outcomes{{"success", 6}, {"error", 1}, {"panic", 0}, {"timeout", 0}, {"canceled", 0}, {"worker_death", 2}, {"other", 0}}
	if s.Done != 9 || outcomes != want || err != nil {
		t.Errorf("%+v, %v, %v", s, outcomes, err)
	}
}

// TestReader_Monotonic: the number of successes must not decrease, although
// Stats counts a failure before it counts its task as done.
func TestReader_Monotonic(t *testing.T) {
	steps := []executor.Stats{{Done: 5}, {Done: 5, Failed: executor.Failures{Panics: 2}}, {Done: 8, Failed: executor.Failures{Panics: 2}}}
	r := newReader(func() (s executor.Stats) {
		s, steps = steps[0], steps[1:]
		return s
	})
	for i, want := range []int64{5, 5, 6} {
		if _, outcomes, err := r.Read(t.Context()); outcomes[0].Tasks != want || err != nil {
			t.Errorf("step %d: %v tasks succeeded, want %d (%v)", i, outcomes[0], want, err)
		}
	}
}

func TestReader_Fails(t *testing.T) {
	cause := errors.New("no connection")
	steps := []func() executor.Stats{
		func() executor.Stats { panic(cause) },
		func() executor.Stats { runtime.Goexit(); panic("not reached") },
	}
	r := newReader(func() (s executor.Stats) { return steps[0]() })
	_, _, err := r.Read(t.Context())
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "panicked") {
		t.Error(err)
	}
	steps = steps[1:]
	if _, _, err = r.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "Goexit") {
		t.Error(err)
	}
}

func TestReader_Hangs(t *testing.T) {
	hang := make(chan struct{})
	called := make(chan struct{}, 9)
	r := newReader(func() executor.Stats {
		called <- struct{}{}
		<-hang
		return executor.Stats{Done: 1}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if _, _, err := r.Read(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "does not answer") {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if s, _, err := r.Read(t.Context()); s.Done != 1 || err != nil {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	<-called
	if len(called) > 0 {
		t.Error("Stats was called twice at the same time")
	}
	close(hang)
	all.Wait()
}

// TestReader_HangsAgain: if Stats hangs, only the first call of Read may wait
// for it.
func TestReader_HangsAgain(t *testing.T) {
	r := newReader(func() executor.Stats { <-t.Context().Done(); return executor.Stats{} })
	for _, r.wait = range []time.Duration{1, time.Hour} {
		if _, _, err := r.Read(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{"": false, "\xff": false, "a\"b\n": true, "resize": true} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
