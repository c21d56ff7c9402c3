package jobs

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/output"
	"concert/goroutines"
	"concert/internal/logtest"
)

func memory(bytes int64) cli.Memory { return cli.Memory{Bytes: bytes, IsSet: true} }

// fakeRunner is a runner without commands. The function returns the duration
// and the status of an attempt.
type fakeRunner func(j *job) (took time.Duration, status output.Status)

// run implements runner.
func (f fakeRunner) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	begin()
	took, status := f(j)
	if sleep(ctx, took) {
		r.Status = status
	} else {
		r.Status = output.Killed
	}
	return nil
}

// counting is a runner that counts the attempts of a trial.
type counting struct {
	runner
	trial *trial
}

// run implements runner.
func (c *counting) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	tr := c.trial
	tr.mu.Lock()
	tr.attempts[j.number] = append(tr.attempts[j.number], time.Now())
	tr.active++
	tr.most = max(tr.most, tr.active)
	tr.mu.Unlock()
	defer func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.active--
	}()
	return c.runner.run(ctx, j, r, begin)
}

// trial is an engine with a fake runner, and a record of the jobs that it has
// settled.
type trial struct {
	engine
	fresh chan *job

	mu       sync.Mutex
	records  []*output.Record    // guarded by mu: the records of the settled jobs
	attempts map[int][]time.Time // guarded by mu: the times at which the attempts of each job began
	active   int                 // guarded by mu: the number of running attempts
	most     int                 // guarded by mu: the maximum of active
}

// newTrial returns an engine for n jobs, after change has changed it.
func newTrial(n int, run fakeRunner, change func(*trial)) *trial {
	tr := &trial{attempts: map[int][]time.Time{}, fresh: make(chan *job)}
	tr.queue = newQueue(tr.fresh, true)
	tr.gate = newGate(&options{}, func(string) {})
	tr.timeouts = newTimeouts(timeLimit{})
	tr.delay = time.Second
	tr.total = func() int { return n }
	tr.settled = func(j *job, r *output.Record, _ *output.Output) {
		tr.mu.Lock()
		tr.records = append(tr.records, r)
		tr.mu.Unlock()
		tr.queue.finish(j.number)
	}
	tr.runner = &counting{run, tr}
	if change != nil {
		change(tr)
	}
	return tr
}

// runOn runs n jobs on some workers.
func (tr *trial) runOn(ctx context.Context, workers, n int) {
	defer tr.start(ctx)()
	go func() {
		defer close(tr.fresh)
		for i := range n {
			select {
			case tr.fresh <- &job{number: i + 1, inputs: []string{fmt.Sprint(i + 1)}}:
			case <-tr.starting.Done():
				return
			}
		}
	}()
	ex := goroutines.New(workers, nil)
	defer ex.Close()
	tr.runAll(ctx, ex)
	tr.end()
}

// statuses returns the number of settled jobs with each status.
func (tr *trial) statuses() map[output.Status]int {
	count := map[output.Status]int{}
	for _, r := range tr.records {
		count[r.Status]++
	}
	return count
}

// TestEngine_RunsEachJobOnce: each job must run and settle once. The number of
// running jobs must never exceed the number of workers.
func TestEngine_RunsEachJobOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(500, func(*job) (time.Duration, output.Status) { return rand.N(time.Second), output.OK }, nil)
		tr.runOn(t.Context(), 4, 500)
		slices.SortFunc(tr.records, func(a, b *output.Record) int { return cmp.Compare(a.Number, b.Number) })
		if len(tr.records) != 500 || tr.most != 4 {
			t.Fatalf("%d jobs have settled, at most %d ran concurrently", len(tr.records), tr.most)
		}
		for i, r := range tr.records {
			if r.Number != i+1 || r.Status != output.OK || r.Attempts != 1 {
				t.Errorf("job %d: %+v", i+1, r)
			}
		}
	})
}

// TestEngine_Retries: a job that fails must run again after a pause, which
// doubles from attempt to attempt. In the pause, its worker must run other
// jobs.
func TestEngine_Retries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(50, func(j *job) (time.Duration, output.Status) {
			if j.number == 1 || j.number == 2 && j.attempts <= 2 {
				return 0, output.Failed
			}
			return 10 * time.Millisecond, output.OK
		}, func(tr *trial) { tr.retries = 3 })
		begin := time.Now()
		tr.runOn(t.Context(), 1, 50)
		if got := fmt.Sprint(tr.statuses()); got != "map[failed:1 ok:49]" {
			t.Errorf("the jobs are %s", got)
		}
		starts := tr.attempts[1]
		if len(starts) != 4 || len(tr.attempts[2]) != 3 {
			t.Fatalf("the jobs have had %d and %d attempts", len(starts), len(tr.attempts[2]))
		}
		for i, nominal := 1, time.Second; i < 4; i, nominal = i+1, 2*nominal {
			// The only worker may run a job of 10 ms when the pause ends.
			if pause := starts[i].Sub(starts[i-1]); pause < nominal/2 || pause > nominal+10*time.Millisecond {
				t.Errorf("pause %d was %v, want %v to %v", i, pause, nominal/2, nominal)
			}
		}
		last := tr.attempts[50][0].Sub(begin)
		if last > time.Second {
			t.Errorf("the last job started after %v: it waited for a pause", last)
		}
	})
}

// TestEngine_Timeout: a job that takes too long ends, counts as a failure, and
// runs again.
func TestEngine_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(3, func(j *job) (time.Duration, output.Status) {
			if j.number == 2 {
				return time.Hour, output.OK
			}
			return time.Second, output.OK
		}, func(tr *trial) { tr.timeouts, tr.retries = timeoutsOf(t, "5s"), 1 })
		tr.runOn(t.Context(), 2, 3)
		if got := fmt.Sprint(tr.statuses()); got != "map[ok:2 timeout:1]" || len(tr.attempts[2]) != 2 {
			t.Errorf("the jobs are %s, after %d attempts", got, len(tr.attempts[2]))
		}
	})
}

// TestEngine_Halt: after "soon", running jobs must finish, and no further job
// may start. After "now", the running jobs must be canceled. Jobs that wait
// for their next attempt are canceled.
func TestEngine_Halt(t *testing.T) {
	for rule, want := range map[string]string{
		"soon,fail=2":    "map[canceled:1 failed:2 ok:1]",
		"now,fail=2":     "map[canceled:2 failed:2]",
		"soon,success=1": "map[canceled:1 failed:2 ok:1]",
	} {
		t.Run(rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(100, func(j *job) (time.Duration, output.Status) {
					switch j.number {
					case 1, 3:
						return time.Second, output.Failed
					case 2: // the job waits for its second attempt
						return 900 * time.Millisecond, output.Timeout
					case 4:
						return 1100 * time.Millisecond, output.OK
					}
					return time.Hour, output.OK
				}, func(tr *trial) {
					tr.delay = time.Hour
					tr.runner = onlyRetrying{tr.runner, 2}
				})
				if err := tr.halt.Set(rule); err != nil {
					t.Fatal(err)
				}
				tr.retries = 1
				tr.runOn(t.Context(), 4, 4)
				counts := tr.statuses()
				delete(counts, output.NotStarted)
				if got := fmt.Sprint(counts); got != want {
					t.Errorf("the jobs are %s, want %s", got, want)
				}
			})
		})
	}
}

// TestEngine_HaltSoonTakenJobs: jobs that the Map has already taken from the
// queue must not start after the end of the run.
func TestEngine_HaltSoonTakenJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(100, func(j *job) (time.Duration, output.Status) {
			if j.number == 20 {
				return time.Microsecond, output.Failed
			}
			return time.Microsecond, output.OK
		}, func(tr *trial) { tr.halt = haltRule{counted: failures, number: 1} })
		tr.runOn(t.Context(), 1, 100)
		if n := len(tr.attempts); n != 20 {
			t.Errorf("%d jobs have started, want 20", n)
		}
		if len(tr.records) == 20 {
			t.Error("the Map has taken no job ahead, so this test shows nothing")
		}
	})
}

// onlyRetrying is a runner in which only one job may be retried: all other
// jobs have used their attempts.
type onlyRetrying struct {
	runner
	number int
}

// run implements runner.
func (o onlyRetrying) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	return o.runner.run(ctx, j, r, func() {
		begin()
		if j.number != o.number {
			j.attempts = 2
			r.Attempts = 2
		}
	})
}

// TestEngine_TakenBack: if a runner has not begun a job when the run ends, the
// job must settle as not started, and without an attempt.
func TestEngine_TakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(100, func(j *job) (time.Duration, output.Status) { return time.Second, output.OK }, nil)
		held := make(chan struct{})
		var once sync.Once
		tr.hold = func() { once.Do(func() { close(held) }) }
		slot := make(chan struct{}, 1)
		tr.runner = oneSlot{tr.runner, slot, held}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		tr.runOn(ctx, 3, 100)
		counts := tr.statuses()
		if counts[output.OK] != 2 || counts[output.Canceled] != 1 || counts[output.Killed] != 0 {
			t.Errorf("the jobs are %v", counts)
		}
		for _, r := range tr.records {
			if started := r.Status != output.NotStarted; started != (r.Attempts == 1) || !started && r.Error != "" {
				t.Errorf("job %d: %+v", r.Number, r)
			}
		}
		if len(tr.records) < 5 {
			t.Errorf("%d jobs have settled, want 2 that waited for the slot among them", len(tr.records))
		}
		if tr.active != 0 || tr.activeAttempts() != 0 {
			t.Error("an attempt is still counted")
		}
	})
}

// oneSlot is a runner that runs one job after the other, until it is held.
type oneSlot struct {
	runner
	slot chan struct{}
	held chan struct{}
}

// run implements runner.
func (o oneSlot) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	select {
	case <-o.held:
		return nil
	default:
	}
	select {
	case o.slot <- struct{}{}:
		defer func() { <-o.slot }()
		return o.runner.run(ctx, j, r, begin)
	case <-o.held:
		return nil
	}
}

// TestEngine_Interrupted: if the context of the run ends, running jobs must be
// canceled, and no other job may start.
func TestEngine_Interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(100, func(j *job) (time.Duration, output.Status) { return time.Second, output.OK }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		tr.runOn(ctx, 3, 100)
		counts := tr.statuses()
		if counts[output.OK] != 6 || counts[output.Canceled] != 3 {
			t.Errorf("the jobs are %v", counts)
		}
	})
}

// TestQueue_Ahead: the number of finished jobs that wait for an older job must
// not exceed the limit. The same holds for jobs that wait for their next
// attempt.
func TestQueue_Ahead(t *testing.T) {
	for name, c := range map[string]struct {
		ordered bool
		first   output.Status
	}{"finished": {true, output.OK}, "retries": {false, output.Failed}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(1000, func(j *job) (time.Duration, output.Status) {
					if c.ordered && j.number == 1 {
						return time.Hour, output.OK
					}
					if c.first == output.Failed && j.attempts == 1 {
						return time.Millisecond, output.Failed
					}
					return time.Millisecond, output.OK
				}, func(tr *trial) {
					tr.queue = newQueue(tr.fresh, c.ordered)
					if c.ordered {
						tr.queue.ahead = 50
					} else {
						tr.queue.maxOpen = 50
					}
					tr.retries, tr.delay = 1, time.Minute
				})
				go func() {
					time.Sleep(30 * time.Second)
					tr.mu.Lock()
					defer tr.mu.Unlock()
					if n := len(tr.attempts); n > 50+3 {
						t.Errorf("%d jobs have started, want at most 50", n)
					}
				}()
				tr.runOn(t.Context(), 3, 1000)
				if got := tr.statuses()[output.OK]; got != 1000 {
					t.Errorf("%d jobs have succeeded", got)
				}
			})
		})
	}
}

// TestQueue_Order: if jobs finish in a random order, the oldest unfinished job
// must decide whether the limit is reached.
func TestQueue_Order(t *testing.T) {
	const n, ahead = 2000, 100
	fresh := make(chan *job, n)
	for i := range n {
		fresh <- &job{number: i + 1}
	}
	q := newQueue(fresh, true)
	q.ahead, q.passed = ahead, make([]uint64, 2)
	var running []int
	for taken := 0; taken < n || len(running) > 0; {
		first := taken + 1
		if len(running) > 0 {
			first = slices.Min(running)
		}
		if q.first != first || q.isFullLocked() != (taken-first+1 >= ahead) {
			t.Fatalf("after %d jobs, the queue waits for job %d, want %d; full: %v", taken, q.first, first, q.isFullLocked())
		}
		if taken < n && !q.isFullLocked() && rand.N(3) > 0 {
			running = append(running, q.take(t.Context()).number)
			taken++
		} else if len(running) > 0 {
			i := rand.N(len(running))
			q.finish(running[i])
			running = slices.Delete(running, i, i+1)
		}
	}
}

// TestEngine_Memory: the memory of a run must not depend on the number of
// jobs.
func TestEngine_Memory(t *testing.T) {
	const n = 200_000
	errOut := new(logtest.Buffer)
	v := newView(&options{}, n, io.Discard, errOut)
	var most atomic.Uint64
	tr := newTrial(n, nil, func(tr *trial) {
		tr.runner = fakeRunner(func(*job) (time.Duration, output.Status) { return 0, output.OK })
		tr.begun = v.begun
		tr.settled = func(j *job, r *output.Record, o *output.Output) {
			v.settled(j, r, o)
			if j.number%10_000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse+m.StackInuse))
			}
			tr.queue.finish(j.number)
		}
	})
	tr.runOn(t.Context(), 4, n)
	v.close(false, nil, "")
	if !strings.Contains(errOut.String(), fmt.Sprintf("%d of %[1]d jobs in ", n)) {
		t.Errorf("the progress is %q", errOut.String())
	}
	if got := most.Load(); got > 15<<20 {
		t.Errorf("%d jobs needed %d MiB", n, got>>20)
	}
	t.Logf("at most %d KiB in use", most.Load()>>10)
}

// TestBackOff_Bounds: the pause must double from attempt to attempt, up to a
// minute.
func TestBackOff_Bounds(t *testing.T) {
	for attempts, nominal := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 7: time.Minute, 1000: time.Minute} {
		if nominal == 0 {
			continue
		}
		for range 100 {
			if got := backOff(time.Second, attempts); got < nominal/2 || got > nominal {
				t.Errorf("the pause after attempt %d is %v", attempts, got)
			}
		}
	}
	if got := backOff(0, 5); got != 0 {
		t.Errorf("without a delay, the pause is %v", got)
	}
}
