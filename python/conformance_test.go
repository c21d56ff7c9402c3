package python_test

import (
	"testing"

	"concert"
	"concert/executortest"
	"concert/processes"
	"concert/python"
)

// TestConformance holds the worker to the suite, whose functions are there in Python: see
// testdata/conformance.py.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: starting interpreters for each case takes most of a minute")
	}
	newPool(t, 1, nil).Close() // the first one leaves behind what others use
	executortest.Run(t, executortest.Traits{Kills: true, Foreign: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		return newPool(t, c.Workers, &python.Options{
			Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer,
			Import: []string{"conformance"},
		})
	})
}

// TestConformanceThreads has several threads in one interpreter where TestConformance has
// several interpreters.
func TestConformanceThreads(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: starting interpreters for each case takes most of a minute")
	}
	newPool(t, 1, nil).Close()
	executortest.Run(t, executortest.Traits{Kills: true, Foreign: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		return newPool(t, 1, &python.Options{
			Threads: c.Workers, Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer,
			Import: []string{"conformance"},
		})
	})
}
