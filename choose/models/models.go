// Package models has lists of models for package concert/choose: the executors
// of this project.
//
//	report, err := choose.Run(ctx, fetch, urls, models.Go(), nil)
//
// [Go] is for Go functions, and [Python] is for Python functions. A program can
// remove models from a list, and add models with other executors.
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

// Go returns the models for a Go function, from the simplest to the least
// simple: a plain loop, goroutines, goroutines under an interpreter lock,
// coroutines of an event loop, and processes.
//
// Under an interpreter lock, and in an event loop, a function must release the
// lock while it waits. For this purpose, the function waits in functions of
// package concert, or calls [concert.Release]. For processes, the function must
// be registered, and the program must call processes.Main. Otherwise the report
// leaves processes out, and has a caveat.
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
			Name: "goroutines under a GIL", Locked: true, Code: line("ex := goroutines.New(%d, &goroutines.Options{Lock: gil.New(nil)})"),
			Open: func(k int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(k, &goroutines.Options{Observer: o, Lock: gil.New(nil)}), nil
			},
		},
		{
			Name: "an event loop", Locked: true, Code: line("ex := goroutines.New(%d, &goroutines.Options{Lock: loop.Open(ctx, nil)})"),
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

// line returns a Model.Code that inserts the concurrency into a format.
func line(format string) func(int) string {
	return func(k int) string { return fmt.Sprintf(format, k) }
}

// closing is an executor whose Close also closes something else.
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
