package jobs

import (
	"runtime"

	"concert"
	"concert/adaptive"
	"concert/goroutines"
)

// executor returns the executor whose workers wait for the jobs. It returns
// nil for --choose, which finds the concurrency by a measurement.
func (m *mapper) executor(observer concert.Observer) concert.Executor {
	if m.choose {
		return nil
	}
	o := &goroutines.Options{Name: "concert map", Observer: observer}
	n := m.concurrency() + m.reserve()
	if m.options.jobs.auto {
		o.Limit = adaptive.New(&adaptive.Options{Max: n, Start: min(n, runtime.GOMAXPROCS(0)), CPU: m.usedCPU})
	}
	return goroutines.New(n, o)
}

// Numbers of concurrent jobs.
const (
	maxAuto      = 256 // with -j auto
	clusterCalls = 64  // with --cluster
)

// maxReserve is the maximum number of jobs that wait in the supervisor. It is
// larger than the number of jobs that end while the runner handles the end of
// one job.
const maxReserve = 8

// reserve returns the number of jobs that wait in the supervisor. One of them
// starts as soon as a running job has ended. It returns 0 in these cases:
//
//   - The end of a job, the time, or a button of the live page decides whether
//     the next job starts.
//   - Jobs are measured or traced.
//   - With --py, there is no supervisor.
//   - The output of a job must be printed before the output of the next job:
//     with --line-buffer, and with --unordered -j 1.
func (o *options) reserve() int {
	switch {
	case o.lineBuffer, o.unordered && o.concurrency() == 1:
		return 0
	case o.py != "", o.choose, o.jobs.auto, o.delay > 0, o.load > 0, o.memFree.Bytes > 0, o.halt.counted != noOutcome, o.trace != "", o.web.IsSet():
		return 0
	}
	return min(o.concurrency(), maxReserve)
}

// concurrency returns the number of concurrent jobs, or the maximum with -j
// auto.
func (o *options) concurrency() int {
	switch {
	case o.jobs.auto && o.py != "" && o.clusterURL == "":
		return runtime.GOMAXPROCS(0) * max(1, o.threads)
	case o.jobs.auto:
		return maxAuto
	case o.clusterURL != "":
		return o.jobs.count(clusterCalls)
	case o.threads > 0 && o.jobs.text == "":
		return runtime.GOMAXPROCS(0) * o.threads
	}
	return o.jobs.count(runtime.GOMAXPROCS(0))
}

// interpreterCount returns the number of interpreters, and the number of
// threads in each.
func (m *mapper) interpreterCount() (n, threads int) {
	threads = max(1, m.threads)
	jobs := m.concurrency()
	threads = min(threads, jobs)
	return (jobs + threads - 1) / threads, threads
}
