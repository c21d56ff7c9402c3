// Package conformance_test holds interpreters with several threads to the
// conformance suite.
package conformance_test

import (
	"os"
	"testing"

	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

func TestMain(m *testing.M) {
	pythontest.Direct()
	os.Exit(m.Run())
}

// TestConformance runs the suite on one interpreter with several threads.
func TestConformance(t *testing.T) {
	pythontest.Conformance(t, func(workers int, o *python.Options) (*processes.Pool, error) {
		o.Threads = workers
		return python.New(1, o)
	})
}
