package executor_test

import (
	"testing"

	"concert/executor"
	"concert/executortest"
)

// TestExamplePool_Conformance runs the whole suite on the executor of the
// example.
func TestExamplePool_Conformance(t *testing.T) {
	executortest.Run(t, executortest.Traits{Shared: true}, func(c executortest.Config) executor.Executor {
		return NewPool(c.Workers, c.Queue, c.Grace, c.Observer)
	})
}
