package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/usage"
	"concert/goroutines"
	"concert/internal/units"
)

// model is a way to run the jobs, which --choose can measure and recommend.
type model struct {
	choose.Model
	open func(n int, observer concert.Observer) (concert.Executor, error)
}

// measure finds the concurrency with package choose, and returns an executor
// for the remaining jobs, or nil if no job remains. Each call that package
// choose measures runs one of the jobs. This job is recorded and printed like
// all jobs:
//
//	choose.Run: "run input 7" --> do with the next job of the queue --> finish
//
// So package choose has no inputs of its own. After the last job, errNoJobs
// ends the measurements.
func (m *mapper) measure(ctx context.Context, observer concert.Observer) concert.Executor {
	models := m.models()
	total, known := m.reader.Total()
	if known && total < minMeasured {
		return m.unmeasured(models, fmt.Sprintf("needs at least %d inputs to measure", minMeasured), observer)
	}
	measuring, stop := context.WithCancelCause(m.starting)
	defer stop(nil)
	var ran atomic.Int64 // the number of jobs that ran in measurements
	next := func(ctx context.Context, _ int) (struct{}, error) {
		j := m.take()
		if j == nil {
			stop(errNoJobs)
			return struct{}{}, errNoJobs
		}
		if j.attempts == 0 {
			ran.Add(1)
		}
		return m.do(ctx, j)
	}
	opts := &choose.Options{
		MaxConcurrency: maxChoice, Profile: m.profile(next), Observer: func(string, int) concert.Observer { return observer },
	}
	if known {
		opts.MaxRuns = total / 2 // the other half runs with the recommendation
	}
	measured := make([]choose.Model, len(models))
	for i, model := range models {
		measured[i] = model.Model
		measured[i].Open = model.open
	}
	// Package choose only uses the number of inputs to find out whether there
	// are few.
	report, err := choose.Run(measuring, next, make([]int, minMeasured), measured, opts)
	switch {
	case m.starting.Err() != nil:
		return nil
	case errors.Is(context.Cause(measuring), errNoJobs):
		text := fmt.Sprintf("--choose: the measurements have run all of the %d jobs", ran.Load())
		if report != nil && report.Kind.Kind != choose.UnknownKind {
			text += fmt.Sprintf("; the work is %s", report.Kind.Kind)
		}
		m.view.note(text + "\n")
		return nil
	case errors.Is(err, choose.ErrFails):
		return m.unmeasured(models, "has measured jobs, and all of them failed", observer)
	case report == nil || err != nil:
		return m.unmeasured(models, "has no recommendation, because the jobs take long or are few", observer)
	}
	if report.Verdict.Certainty == choose.Unclear && waits(report) {
		n := max(waitingJobs, report.Verdict.Concurrency)
		m.view.note(fmt.Sprintf("--choose: the jobs mostly wait, so many can run at the same time; the %d measured jobs do not show how many, so -j %d\n", ran.Load(), n))
		return m.open(models[min(1, len(models)-1)], n, observer) // for Python, the second model: threads
	}
	m.view.note(recommendation(report, ran.Load()))
	for _, model := range models {
		if model.Name == report.Verdict.Model {
			return m.open(model, report.Verdict.Concurrency, observer)
		}
	}
	panic("jobs: a verdict names an unknown model")
}

// waitingJobs is the concurrency of jobs that mostly wait, if the measurements
// do not show which one is the best.
const waitingJobs = 16

// waits reports whether the work is I/O-bound. On a busy machine, the
// measurements do not show this. But if the speed-up is much higher than the
// number of processors, the work must wait most of the time.
func waits(r *choose.Report) bool {
	if r.Kind.Kind == choose.UnknownKind {
		return r.Verdict.Gain.Median > 1.5*float64(runtime.GOMAXPROCS(0))
	}
	return r.Kind.Kind == choose.IOBound
}

// minMeasured is the minimum number of inputs for a measurement.
const minMeasured = 10

// unmeasured returns an executor with the default concurrency. The parameter
// why is the part of a message that follows "--choose", and gives the reason.
func (m *mapper) unmeasured(models []model, why string, observer concert.Observer) concert.Executor {
	n := runtime.GOMAXPROCS(0)
	m.view.note(fmt.Sprintf("--choose %s, so -j %d\n", why, n))
	return m.open(models[len(models)-1], n, observer)
}

// open returns an executor of a model, or nil after an error, which ends the
// run.
func (m *mapper) open(model model, n int, observer concert.Observer) concert.Executor {
	ex, err := model.open(n, observer)
	if err != nil {
		m.fail(err)
		return nil
	}
	return ex
}

// maxChoice is the highest concurrency that --choose tries.
const maxChoice = 64

// recommendation returns the line about a report, after a number of measured
// jobs.
func recommendation(r *choose.Report, ran int64) string {
	text := "--choose: " + r.Recommended()
	if r.Verdict.Gain.Median > 1 && r.Verdict.Concurrency > 1 {
		text += fmt.Sprintf(", %s of one job at a time", units.Times(r.Verdict.Gain.Median))
	}
	switch r.Verdict.Certainty {
	case choose.Likely:
		text += ", which is likely the best"
	case choose.Unclear:
		text += ", which is a guess"
	}
	if r.Kind.Kind != choose.UnknownKind {
		text += fmt.Sprintf("; the work is %s", r.Kind.Kind)
	}
	return fmt.Sprintf("%s; %d jobs were measured\n", text, ran)
}

// models returns the models that --choose measures, the simplest first.
func (m *mapper) models() []model {
	if m.py == "" {
		return []model{{
			Model: choose.Model{Name: "concurrent commands"},
			open: func(n int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(n, &goroutines.Options{Name: "concert map", Observer: o}), nil
			},
		}}
	}
	processors := runtime.GOMAXPROCS(0)
	open := func(interpreters, threads func(n int) int) func(int, concert.Observer) (concert.Executor, error) {
		return func(n int, o concert.Observer) (concert.Executor, error) {
			return m.openPool(n, interpreters(n), threads(n), o)
		}
	}
	one := func(int) int { return 1 }
	all := func(n int) int { return n }
	return []model{
		{choose.Model{Name: "one interpreter", Levels: []int{1}}, open(one, one)},
		{choose.Model{Name: "threads of one interpreter", Locked: true, Levels: powers(maxChoice)}, open(one, all)},
		{choose.Model{Name: "interpreters", Levels: powers(max(4, 4*processors))}, open(all, one)},
	}
}

// powers returns the powers of two from 2 up to highest.
func powers(highest int) (levels []int) {
	for n := 2; n <= highest; n *= 2 {
		levels = append(levels, n)
	}
	return levels
}

// profile returns a function that runs the next job alone, and returns the
// usage of this job.
func (m *mapper) profile(next func(context.Context, int) (struct{}, error)) func(context.Context, int) (usage.Usage, error) {
	run := m.runner
	cpu, memory := "getrusage of the job", usage.Source{What: usage.PeakMemory, From: "getrusage of the job"}
	if m.py != "" {
		run = &timedRunner{pool: m.runner.(*interpreters)}
		cpu, memory = "time.process_time", usage.Source{What: usage.PeakMemory, Why: "map measures it for commands only"}
	}
	clock := usage.Source{What: usage.CPUTime, From: cpu}
	busy := isBusy()
	if busy {
		clock = usage.Source{What: usage.CPUTime, Why: "other programs use the processors"}
	}
	sources := []usage.Source{clock, memory, {What: usage.RunDelay, Why: "map does not measure it"}}
	return func(ctx context.Context, _ int) (used usage.Usage, err error) {
		alone := &alone{runner: run}
		_, err = next(context.WithValue(ctx, aloneKey{}, alone), 0)
		if r := alone.record; r != nil {
			used = usage.Usage{Wall: seconds(r.Seconds), CPU: seconds(r.CPU), Memory: r.Memory, Sources: sources}
			if busy {
				used.CPU = 0
			}
		}
		return used, err
	}
}

// isBusy reports whether other programs use all processors. On such a machine,
// a CPU-bound job also waits for a processor most of the time. Its times then
// look like those of an I/O-bound job.
func isBusy() bool {
	load, err := loadAverage()
	return err == nil && load > float64(runtime.GOMAXPROCS(0))
}

// seconds converts a number of seconds.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
