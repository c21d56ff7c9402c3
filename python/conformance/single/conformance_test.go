// Package conformance_test holds interpreters with one thread each to the conformance
// suite. It has a directory of its own as it takes half a minute, so that it runs
// at the same time as the other tests of package python.
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

// TestConformance runs the suite on interpreters with one thread each. The functions
// of the suite are in ../testdata/conformance.py.
func TestConformance(t *testing.T) {
	pythontest.Conformance(t, func(workers int, o *python.Options) (*processes.Pool, error) { return python.New(workers, o) })
}
