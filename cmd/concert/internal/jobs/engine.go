package jobs

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"concert"
	"concert/cmd/concert/internal/jobs/output"
	"concert/goroutines"
	"concert/resume"
)

// job is the command, or the function, for one input.
type job struct {
	number   int      // the number of the input; the first one is 1
	inputs   []string // one value for each source
	command  []string // the words of the command, or the name of the function
	argument any      // the argument of the function
	key      resume.Key

	turn     int    // the number of the current attempt, among the attempts of all jobs
	sent     func() // called when no later attempt can overtake this attempt; nil if nothing needs it
	attempts int    // number of attempts that have started
	due      time.Time
	done     *output.Record // recorded by an earlier run, or nil
	output   *output.Output // of the record in done
	refused  error          // the reason why the input cannot be an argument of the command
	left     bool           // this run does not run the job: it has no record, and --resume was not given
}

// runner makes the attempts of jobs.
type runner interface {
	// run makes one attempt, and ends it when ctx ends. It sets the fields of
	// the record that say how the attempt ended. If the attempt ends because
	// ctx ended, the engine sets the status.
	//
	// run calls begin when the attempt starts, which may be later than the
	// call of run. If run returns without a call of begin, the record tells
	// the reason. If the record has an error, the attempt has failed. If it
	// has no error, or the status Canceled, the attempt was not started
	// because the run of all jobs ends.
	run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output
}

// engine runs the jobs of a queue on the workers of an executor.
//
//	inputs --> queue --Map--> worker: gate, attempt --> finish --> journal --> printer
//	             ^                       |
//	             +-------- retry --------+
//
// A worker is a goroutine that waits for the command, or for the function in an
// interpreter or in a cluster. So all models have the same scheduling.
type engine struct {
	queue    *queue
	gate     *gate
	timeouts *timeouts
	runner   runner
	halt     haltRule
	retries  int // further attempts of a job that fails
	delay    time.Duration
	total    func() int // the number of inputs, or 0 while it is not known
	live     *live      // the live page, or nil
	hold     func()     // takes back the jobs that the runner has not started, or nil
	turns    *turns     // not nil if there are more workers than jobs that run

	written func(r *output.Record, o *output.Output) error   // writes the files of a job, or nil
	begun   func(j *job)                                     // reports the first attempt of a job
	settled func(j *job, r *output.Record, o *output.Output) // records and prints a job

	starting    context.Context // ends when no further job may start
	running     context.Context // parent of starting, ends when the running jobs must end
	endStarting context.CancelCauseFunc
	endRunning  context.CancelCauseFunc

	mu      sync.Mutex
	tally   tally         // guarded by mu
	active  int           // guarded by mu: number of attempts that run
	cpu     time.Duration // guarded by mu: processor time of the attempts that have ended
	reached bool          // guarded by mu: whether the rule of --halt has applied
}

// Causes of the end of a run.
var (
	errHalted = errors.New("the condition of --halt was met")
	errNoJobs = errors.New("no job is left") // ends the measurements of --choose
)

// start sets the contexts of a run, which ends when ctx ends. The caller calls
// the returned function at the end.
func (e *engine) start(ctx context.Context) (end func()) {
	// The contexts are not derived from ctx, because hold must be called first
	// when ctx ends. Otherwise the end of a canceled job would let another job
	// start.
	e.running, e.endRunning = context.WithCancelCause(context.WithoutCancel(ctx))
	e.starting, e.endStarting = context.WithCancelCause(e.running)
	stopped := func() { e.stopNow(context.Cause(ctx)) }
	if ctx.Err() != nil {
		stopped()
	}
	stop := context.AfterFunc(ctx, stopped)
	return func() {
		stop()
		e.endRunning(nil)
	}
}

// stopSoon ends the run when the running jobs have ended.
func (e *engine) stopSoon(cause error) {
	if e.hold != nil {
		e.hold()
	}
	e.endStarting(cause)
}

// stopNow ends the run, and the running jobs.
func (e *engine) stopNow(cause error) {
	if e.hold != nil {
		e.hold()
	}
	e.endRunning(cause)
}

// runAll runs the jobs of the queue, until the queue is empty, or e.starting
// ends.
func (e *engine) runAll(ctx context.Context, ex concert.Executor) {
	// The Map is not canceled, so that each job that it has taken settles.
	for _, err := range concert.MapUnordered(context.WithoutCancel(ctx), ex, e.do, e.jobs) {
		if p, ok := errors.AsType[*concert.PanicError](err); ok {
			panic(p)
		}
	}
}

// end settles the jobs that wait for their next attempt. It is called when no
// job runs.
func (e *engine) end() {
	for _, j := range e.queue.stop() {
		r := j.record()
		r.Status, r.Error = output.Canceled, "the run ended before the next attempt"
		e.settle(j, r, nil)
	}
}

// activeAttempts returns the number of attempts that run.
func (e *engine) activeAttempts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active
}

// jobs yields the jobs of the queue.
func (e *engine) jobs(yield func(*job) bool) {
	turn := 0
	for j := e.take(); j != nil; j = e.take() {
		turn++
		j.turn = turn
		if !yield(j) {
			return
		}
	}
}

// take returns the next job to run, or nil. It settles jobs that need not run.
func (e *engine) take() *job {
	for {
		j := e.queue.take(e.starting)
		switch {
		case j == nil:
			return nil
		case j.done != nil:
			e.write(j.done, j.output)
			e.settle(j, j.done, j.output)
		case j.refused != nil:
			r := j.record()
			r.Error = j.refused.Error()
			e.settle(j, r, nil)
		case j.left:
			e.settle(j, j.record(), nil)
		default:
			return j
		}
	}
}

// record returns a new record of a job that has not run.
func (j *job) record() *output.Record {
	return &output.Record{Number: j.number, ID: j.key.String(), Inputs: j.inputs, Command: j.command, Status: output.NotStarted, Attempts: j.attempts}
}

// do makes an attempt of a job. Its error is for observers of the executor
// alone.
func (e *engine) do(task context.Context, j *job) (struct{}, error) {
	if e.turns != nil {
		pass := e.turns.wait(j.turn)
		defer pass()
		j.sent = pass
	}
	if !e.gate.pass(e.starting) {
		e.settle(j, j.record(), nil)
		return struct{}{}, context.Cause(e.starting)
	}
	r, out := e.attempt(j, e.runnerOf(task))
	if r == nil {
		e.settle(j, j.record(), nil)
		return struct{}{}, context.Cause(e.starting)
	}
	if a, ok := task.Value(aloneKey{}).(*alone); ok {
		a.record = r
	}
	if isFailure(r) && j.attempts <= e.retries && e.starting.Err() == nil && r.Error != errOnPage.Error() {
		e.live.ended(j, r, out, true)
		if out != nil {
			out.Release()
		}
		e.queue.retry(j, backOff(e.delay, j.attempts))
	} else {
		e.settle(j, r, out)
	}
	if r.Status != output.OK {
		return struct{}{}, attemptError{r}
	}
	return struct{}{}, nil
}

// alone makes a job run with another runner, and receives the record of its
// attempt. It is the value of the context key aloneKey.
type alone struct {
	runner runner
	record *output.Record
}

type aloneKey struct{}

// runnerOf returns the runner for a task: the runner in the context of the task
// if there is one, or else the runner of its worker, or else the runner of the
// engine.
func (e *engine) runnerOf(task context.Context) runner {
	if a, ok := task.Value(aloneKey{}).(*alone); ok {
		return a.runner
	}
	if r, ok := goroutines.State[runner](task); ok {
		return r
	}
	return e.runner
}

// attemptError is the error of an attempt that did not succeed.
type attemptError struct{ *output.Record }

// Error says how the attempt ended.
func (e attemptError) Error() string { return kindOf(e.Record) }

// attempt makes an attempt of a job. It returns no record if the attempt was
// not started, because the run ends.
func (e *engine) attempt(j *job, run runner) (*output.Record, *output.Output) {
	ctx, cancel := context.WithCancelCause(e.running)
	defer cancel(nil)
	r := j.record()
	var stop func(took time.Duration)
	begin := func() {
		if j.attempts == 0 && e.begun != nil {
			e.begun(j)
		}
		j.attempts++
		r.Attempts, r.Start = j.attempts, time.Now()
		e.mu.Lock()
		e.active++
		e.mu.Unlock()
		stop = e.timeouts.start(cancel)
		e.live.started(j, cancel)
	}
	out := run.run(ctx, j, r, begin)
	if stop == nil {
		if r.Error == "" || r.Status == output.Canceled {
			if out != nil {
				out.Release()
			}
			return nil, nil
		}
		begin()
	}
	if out != nil {
		r.Stdout, r.Stderr = out.Size()
	}
	if r.Seconds == 0 { // the runner may have set a more exact time
		r.Seconds = time.Since(r.Start).Seconds()
	}
	if r.Status == output.OK {
		stop(seconds(r.Seconds))
	} else {
		stop(0)
	}
	if ctx.Err() != nil && r.Status != output.OK {
		cause := context.Cause(ctx)
		r.Status, r.Error = output.Canceled, cause.Error()
		switch {
		case errors.Is(cause, errTimeout):
			r.Status = output.Timeout
		case errors.Is(cause, errOnPage): // the user has canceled this job, not the run, so the job has failed
			r.Status = output.Killed
		}
	}
	if r.Status != output.Canceled {
		e.write(r, out)
	}
	e.mu.Lock()
	e.active--
	e.cpu += seconds(r.CPU)
	e.mu.Unlock()
	return r, out
}

// write writes the files of a job. If that fails, the job has failed.
func (e *engine) write(r *output.Record, out *output.Output) {
	if e.written == nil {
		return
	}
	if err := e.written(r, out); err != nil {
		r.Status, r.Error = output.Failed, err.Error()
	}
}

// isFailure reports whether a job has failed. A job that was not started has
// failed if the record says why.
func isFailure(r *output.Record) bool {
	switch r.Status {
	case output.Failed, output.Timeout, output.Killed:
		return true
	case output.NotStarted:
		return r.Error != ""
	}
	return false
}

// maxBackOff is the longest pause before an attempt.
const maxBackOff = time.Minute

// backOff returns the pause after an attempt that failed. It doubles from
// attempt to attempt. Its length is random, between half of the nominal length
// and the nominal length, so that jobs that failed together do not run together
// again.
func backOff(delay time.Duration, attempts int) time.Duration {
	for range attempts - 1 {
		if delay >= maxBackOff {
			break
		}
		delay *= 2
	}
	delay = min(delay, maxBackOff)
	if delay < 2 {
		return delay
	}
	return delay/2 + rand.N(delay/2)
}

// settle counts a job that will not run again, and passes it to settled. If
// this job makes the rule of --halt apply, no further job starts.
func (e *engine) settle(j *job, r *output.Record, out *output.Output) {
	if !r.Resumed {
		e.count(r)
	}
	e.live.ended(j, r, out, false)
	e.settled(j, r, out)
}

// count counts a job for --halt.
func (e *engine) count(r *output.Record) {
	total := e.total()
	e.mu.Lock()
	switch {
	case r.Status == output.OK:
		e.tally.succeeded++
	case isFailure(r):
		e.tally.failed++
	}
	met := !e.reached && e.halt.reached(e.tally, total)
	e.reached = e.reached || met
	e.mu.Unlock()
	switch {
	case met && e.halt.now:
		e.stopNow(errHalted)
	case met:
		e.stopSoon(errHalted)
	}
}

// usedCPU returns the processor time of the attempts that have ended.
func (e *engine) usedCPU() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cpu
}
