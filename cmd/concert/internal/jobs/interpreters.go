package jobs

import (
	"context"
	"fmt"
	"time"

	"concert"
	"concert/cmd/concert/internal/cluster"
	"concert/cmd/concert/internal/jobs/output"
	"concert/goroutines"
	"concert/python"
)

// interpreters runs jobs in interpreters on this machine. For --choose, it has
// one interpreter, in which a single job runs at a time. In addition, each
// executor has its own pool of interpreters. The workers of the executor have
// a runner as their state, which uses this pool.
type interpreters struct {
	pythonRunner
	where string
}

// openInterpretersOfJobs opens the interpreters, and checks whether they find
// the function.
func (m *mapper) openInterpretersOfJobs(ctx context.Context) (*interpreters, error) {
	n, threads := 1, 1
	if !m.choose {
		n, threads = m.interpreterCount()
	}
	pool, err := m.openInterpreters(n, threads, messages{m})
	if err != nil {
		return nil, err
	}
	if err := cluster.LookUp(ctx, pool, m.py); err != nil {
		pool.Close()
		return nil, fmt.Errorf("--py %s: %w", m.py, err)
	}
	return &interpreters{*newPythonRunner(pool, m.py), m.py}, nil
}

// openPool makes a pool of interpreters, and returns an executor of n workers
// whose jobs run in this pool.
func (m *mapper) openPool(n, interpreters, threads int, observer concert.Observer) (concert.Executor, error) {
	pool, err := m.openInterpreters(interpreters, threads, messages{m})
	if err != nil {
		return nil, err
	}
	var run runner = newPythonRunner(pool, m.py)
	workers := goroutines.New(n, &goroutines.Options{
		Name: "concert map", Observer: observer, Init: func(context.Context) (any, error) { return run, nil },
	})
	return &poolWorkers{workers, pool}, nil
}

// poolWorkers are workers and the interpreters in which their jobs run.
type poolWorkers struct {
	*goroutines.Pool
	interpreters concert.Executor
}

// Close closes the workers, and then the interpreters.
func (p *poolWorkers) Close() error {
	err := p.Pool.Close()
	if e := p.interpreters.Close(); err == nil {
		err = e
	}
	return err
}

// timedRunner runs jobs in an interpreter, and measures their processor time.
type timedRunner struct{ pool *interpreters }

// run implements runner.
func (t *timedRunner) run(ctx context.Context, j *job, r *output.Record, begin func()) *output.Output {
	begin()
	call := timedCall{How: "1", Where: t.pool.where, Arg: j.argument}
	if args, ok := j.argument.(python.Args); ok {
		call.How, call.Arg = "*", args
	}
	got, err := concert.Submit(ctx, t.pool.ex, timed, call).Result(context.WithoutCancel(ctx))
	r.CPU = (time.Duration(got.CPU) * time.Nanosecond).Seconds()
	return t.pool.outputOf(got.Result, err, r)
}

type timedCall struct {
	How   string `json:"how"` // "1" for one argument, or "*" for python.Args
	Where string `json:"where"`
	Arg   any    `json:"arg"`
}

type timedResult struct {
	Result any   `json:"result"`
	CPU    int64 `json:"cpu"` // in nanoseconds
}

// timed is a Python function that calls another function, and measures the
// processor time of the interpreter.
var timed = python.Source[timedCall, timedResult]("timed", `
import time

from concert.functions import Functions, finish

functions = Functions()


def timed(call):
    name = "python:%s:%s" % (call["how"], call["where"])
    f = functions.find(name)
    if call["how"] == "1":
        f = functions.direct[name]
    start = time.process_time_ns()
    result = finish(f(call["arg"]))
    return {"result": result, "cpu": time.process_time_ns() - start}
`)
