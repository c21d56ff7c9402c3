package dashboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"concert"
)

// TestFeed_Numbers: a feed must count tasks by state and outcome, and must
// assign the lowest free worker number. A further attempt must not be counted
// as a further task.
func TestFeed_Numbers(t *testing.T) {
	var f Feed
	var seen []string
	at := time.Unix(100, 0)
	event := func(kind concert.EventKind, task uint64, err error) {
		at = at.Add(time.Second)
		f.Observe(concert.Event{Kind: kind, Task: task, Name: "f", Worker: -1, Time: at, Err: err})
	}
	f.SetTotal(10)
	f.SetWorkers(5)
	event(concert.TaskStarted, 1, nil)
	stop := f.Watch(func(e concert.Event) { seen = append(seen, fmt.Sprint(e.Kind, " ", e.Task, " on ", e.Worker)) })
	event(concert.TaskSubmitted, 9, nil) // has no meaning here
	event(concert.TaskStarted, 2, nil)
	event(concert.TaskStarted, 3, nil)
	event(concert.TaskFinished, 2, nil)
	event(concert.TaskStarted, 4, nil)
	event(concert.TaskStarted, 4, nil) // a further attempt
	event(concert.TaskFinished, 4, errors.New("refused"))
	event(concert.TaskFinished, 5, fmt.Errorf("wrapped: %w", context.DeadlineExceeded)) // never started
	event(concert.TaskFinished, 6, concert.ErrCanceled)
	event(concert.TaskProgress, 77, nil) // of no task
	stop()
	event(concert.TaskFinished, 3, nil)
	want := []string{
		"started 1 on 0", "started 2 on 1", "started 3 on 2", "finished 2 on 1", "started 4 on 1", "started 4 on 1", "finished 4 on 1",
		"finished 5 on -1", "finished 6 on -1",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("the observer got %q, want %q", seen, want)
	}
	s := f.Stats()
	if s.Workers != 5 || s.Busy != 1 || s.Running != 1 || s.Queued != 4 || s.Done != 5 || s.Submitted != 10 ||
		s.Failed != (concert.Failures{Errors: 1, Timeouts: 1, Canceled: 1}) {
		t.Errorf("the numbers are %+v", s)
	}
	if n, sum := s.RunTime.Count(), s.RunTime.Sum; n != 3 || sum != 2*time.Second+time.Second+8*time.Second {
		t.Errorf("%d run times, %v in total", n, sum)
	}
}

// TestAddTime: a duration must count in the first bucket whose bound is not
// smaller. If no bound is large enough, it must count in the last bucket.
func TestAddTime(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: 0, 0: 0, time.Microsecond: 0, time.Microsecond + 1: 1, 2 * time.Microsecond: 1, 2*time.Microsecond + 1: 2,
		time.Microsecond << 32: 32, time.Microsecond<<32 + 1: 33,
	} {
		var h concert.Histogram
		addTime(&h, d)
		if h.Counts[want] != 1 || h.Count() != 1 || h.Sum != max(0, d) {
			t.Errorf("%v: the histogram is %v, want 1 in bucket %d", d, h, want)
		}
	}
}
