package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// timeLimit is the value of --timeout: a time, or a percentage of the median
// duration of the successful jobs.
type timeLimit struct {
	text    string
	fixed   time.Duration
	percent float64
}

// String implements flag.Value.
func (t *timeLimit) String() string { return t.text }

// Set implements flag.Value.
func (t *timeLimit) Set(text string) (err error) {
	*t = timeLimit{text: text}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		t.percent, err = percentage(number)
		return err
	}
	t.fixed, err = time.ParseDuration(text)
	if err != nil || t.fixed <= 0 {
		return errors.New("want a time, as in 30s or 2m, or a percentage of the median, as in 300%")
	}
	return nil
}

// errTimeout is wrapped by the cause with which --timeout ends a job.
var errTimeout = errors.New("the job took longer than --timeout")

// timeouts ends jobs that take too long. If the limit is a percentage, it
// changes whenever a job succeeds. So when a timer fires, the elapsed time is
// compared with the current limit, and the timer starts again if there is time
// left. Jobs that start before the median is known get their timers when it
// becomes known.
type timeouts struct {
	limit timeLimit

	mu      sync.Mutex
	took    durations          // guarded by mu
	running map[*timedJob]bool // guarded by mu: the jobs without a timer, while the median is not known
}

// timedJob is a running job with a time limit.
type timedJob struct {
	start  time.Time
	cancel context.CancelCauseFunc
	timer  *time.Timer // guarded by the mutex of timeouts; nil while the limit is not known
	ended  bool        // guarded by the mutex of timeouts
}

func newTimeouts(limit timeLimit) *timeouts {
	return &timeouts{limit: limit, running: make(map[*timedJob]bool)}
}

// start begins the time of a job. After the limit, cancel is called with
// errTimeout. The caller must call stop when the job has ended: with the
// duration of the job if it has succeeded, and otherwise with 0.
func (t *timeouts) start(cancel context.CancelCauseFunc) (stop func(took time.Duration)) {
	if t.limit.fixed == 0 && t.limit.percent == 0 {
		return func(time.Duration) {}
	}
	j := &timedJob{start: time.Now(), cancel: cancel}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armLocked(j)
	return func(took time.Duration) { t.stop(j, took) }
}

// limitLocked returns the current limit, or 0 if it is not known.
func (t *timeouts) limitLocked() time.Duration {
	if t.limit.fixed > 0 {
		return t.limit.fixed
	}
	return time.Duration(t.limit.percent / 100 * float64(t.took.median()))
}

// armLocked sets the timer of a job.
func (t *timeouts) armLocked(j *timedJob) {
	limit := t.limitLocked()
	if limit == 0 {
		t.running[j] = true
		return
	}
	j.timer = time.AfterFunc(limit-time.Since(j.start), func() { t.fire(j) })
}

// fire ends a job, or waits for the rest of a limit that has grown.
func (t *timeouts) fire(j *timedJob) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if j.ended {
		return
	}
	limit := t.limitLocked()
	if rest := limit - time.Since(j.start); rest > 0 {
		j.timer.Reset(rest)
		return
	}
	j.cancel(fmt.Errorf("%w: ended after %v", errTimeout, limit.Round(time.Millisecond)))
}

func (t *timeouts) stop(j *timedJob, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j.ended = true
	delete(t.running, j)
	if j.timer != nil {
		j.timer.Stop()
	}
	if took <= 0 || t.limit.percent == 0 {
		return
	}
	t.took.add(took)
	if t.limitLocked() > 0 {
		for r := range t.running {
			t.armLocked(r)
		}
		clear(t.running)
	}
}
