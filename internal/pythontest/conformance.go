package pythontest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"concert"
	"concert/executortest"
	"concert/processes"
	"concert/python"
)

// Conformance runs the conformance suite on pools that open makes, with options
// by which interpreters import the module conformance.
func Conformance(t *testing.T, open func(workers int, o *python.Options) (*processes.Pool, error)) {
	if testing.Short() {
		t.Skip("not with -short: starting interpreters for each case takes half a minute")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	newPool := func(workers int, o *python.Options) *processes.Pool {
		t.Helper()
		o.Path, o.Import = []string{filepath.Join("..", "testdata")}, []string{"conformance"}
		p, err := open(workers, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	newPool(1, new(python.Options)).Close() // the first pool starts goroutines that stay
	executortest.Run(t, executortest.Traits{Kills: true, Foreign: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		return newPool(c.Workers, &python.Options{Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer})
	})
}
