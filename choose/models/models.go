// Package models has the ways to run work that package concert/choose can try:
// those of this project.
//
//	report, err := choose.Run(ctx, fetch, urls, models.Go(), nil)
//
// [Go] is for Go functions, [Python] for functions in Python. They are lists of
// what choose.Run takes: leave out what does not apply, or add executors of
// your own.
package models

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"concert"
	"concert/choose"
	"concert/gil"
	"concert/goroutines"
	"concert/loop"
	"concert/processes"
)

// Go returns the ways to run a Go function, from the simplest to the least
// simple: in a plain loop, on goroutines, on goroutines under a lock like
// Python's, as coroutines of an event loop, and in processes.
//
// Under a lock, and in a loop, a function that waits has to let go meanwhile,
// or it keeps the others from running: through package concert, or by
// [concert.Release]. For processes it has to be registered, and the program has
// to call processes.Main; else they are left out of the answer, which says so.
func Go() []choose.Model {
	n := runtime.GOMAXPROCS(0)
	return []choose.Model{
		choose.Sequential(),
		{
			Name: "goroutines", Code: line("ex := goroutines.New(%d, nil)"),
			Open: func(k int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(k, &goroutines.Options{Observer: o}), nil
			},
		},
		{
			Name: "goroutines under a GIL", Code: line("ex := goroutines.New(%d, &goroutines.Options{Lock: gil.New(nil)})"),
			Open: func(k int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(k, &goroutines.Options{Observer: o, Lock: gil.New(nil)}), nil
			},
		},
		{
			Name: "an event loop", Code: line("ex := goroutines.New(%d, &goroutines.Options{Lock: loop.Open(ctx, nil)})"),
			Open: func(k int, o concert.Observer) (concert.Executor, error) {
				portal := loop.Open(context.Background(), &loop.Options{OnStall: func(*loop.StallReport) {}})
				return closing{goroutines.New(k, &goroutines.Options{Observer: o, Lock: portal}), portal}, nil
			},
		},
		{
			Name: "processes", Levels: []int{n, 2 * n, 4 * n}, Code: line("ex, err := processes.New(%d, nil)"),
			Open: func(k int, o concert.Observer) (concert.Executor, error) {
				return processes.New(k, &processes.Options{Observer: o})
			},
		},
	}
}

// line is code with a level in it.
func line(format string) func(int) string {
	return func(k int) string { return fmt.Sprintf(format, k) }
}

// closing is an executor with something that is closed after it.
type closing struct {
	concert.Executor
	after io.Closer
}

// Close implements concert.Executor.
func (c closing) Close() error {
	err := c.Executor.Close()
	if e := c.after.Close(); err == nil {
		err = e
	}
	return err
}
