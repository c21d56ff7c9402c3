// Package conformance_test runs the conformance suite on package python. The
// suite takes most of a minute. It is a separate package, so the go command
// runs it concurrently with the tests of package python.
package conformance_test

import (
	"os"
	"testing"

	"concert"
	"concert/executortest"
	"concert/internal/isolated"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

func TestMain(m *testing.M) {
	remove := pythontest.Direct()
	code := m.Run()
	remove()
	os.Exit(code)
}

// TestConformance runs the suite on interpreters with one thread each, and on
// one interpreter with several threads. The functions of the suite are in
// testdata/conformance.py.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: starting interpreters for each case takes half a minute")
	}
	pythontest.Need(t)
	isolated.Run(t,
		isolated.Test{Name: "single", Run: func(t *testing.T) {
			conformance(t, python.New)
		}},
		isolated.Test{Name: "threads", Run: func(t *testing.T) {
			conformance(t, func(workers int, o *python.Options) (*processes.Pool, error) {
				o.Threads = workers
				return python.New(1, o)
			})
		}})
}

func conformance(t *testing.T, open func(workers int, o *python.Options) (*processes.Pool, error)) {
	newPool := func(workers int, o *python.Options) *processes.Pool {
		t.Helper()
		o.Path, o.Import = []string{"testdata"}, []string{"conformance"}
		p, err := open(workers, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	newPool(1, new(python.Options)).Close() // before the check for goroutines, because the first pool starts goroutines that stay after its end
	executortest.Run(t, executortest.Traits{Kills: true, Foreign: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		return newPool(c.Workers, &python.Options{Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer})
	})
}
