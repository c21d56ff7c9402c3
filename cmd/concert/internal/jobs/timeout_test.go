package jobs

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestDurations_Median compares the median with the middle of a sorted copy.
func TestDurations_Median(t *testing.T) {
	var d durations
	var all []time.Duration
	if d.add(5); d.median() != 0 {
		t.Error("one job already has a median")
	}
	all = append(all, 5)
	for i := range 3 * maxDurations {
		took := time.Duration(rand.N(50))
		d.add(took)
		all = append(all, took)
		if i < 1 {
			continue
		}
		last := slices.Clone(all[max(0, len(all)-maxDurations):])
		slices.Sort(last)
		if got, want := d.median(), last[len(last)/2]; got != want {
			t.Fatalf("after %d jobs, the median is %d, want %d", len(all), got, want)
		}
	}
}

func TestTimeLimit_Set(t *testing.T) {
	for _, text := range []string{"10", "0s", "-1s", "0%", "x%", ""} {
		if err := new(timeLimit).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// timeoutsOf returns timeouts for a value of --timeout.
func timeoutsOf(t *testing.T, text string) *timeouts {
	var limit timeLimit
	if err := limit.Set(text); err != nil {
		t.Fatal(err)
	}
	return newTimeouts(limit)
}

// ended returns the time for which a job runs until its context ends.
func ended(t *timeouts) time.Duration {
	ctx, cancel := context.WithCancelCause(context.Background())
	begin := time.Now()
	stop := t.start(cancel)
	<-ctx.Done()
	stop(0)
	if !errors.Is(context.Cause(ctx), errTimeout) {
		panic(context.Cause(ctx))
	}
	return time.Since(begin)
}

func TestTimeouts_Fixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := ended(timeoutsOf(t, "3s")); got != 3*time.Second {
			t.Errorf("the job ended after %v", got)
		}
	})
}

// TestTimeouts_MedianArrivesLater: a job that starts before the median is
// known must get the limit later. The limit must change with the median.
func TestTimeouts_MedianArrivesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := timeoutsOf(t, "200%")
		early := make(chan time.Duration)
		go func() { early <- ended(limits) }()
		synctest.Wait()
		success := func(took time.Duration) { limits.start(func(error) {})(took) }
		success(time.Second)
		success(10 * time.Second)
		time.Sleep(time.Minute)
		success(10 * time.Second) // the median is 10 s
		if got := <-early; got != time.Minute {
			t.Errorf("the first job ended after %v, want a minute", got)
		}
		late := make(chan time.Duration)
		go func() { late <- ended(limits) }()
		time.Sleep(time.Second)
		for range 4 { // while the job runs, the median grows to 30 s
			success(30 * time.Second)
		}
		if got := <-late; got != time.Minute {
			t.Errorf("a later job ended after %v, want a minute", got)
		}
	})
}
