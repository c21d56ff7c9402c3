package executor_test

import (
	"testing"

	"concert/executor"
	"concert/executortest"
)

// TestExamplePool_Conformance: the executor of the example passes the suite of
// package executortest.
func TestExamplePool_Conformance(t *testing.T) {
	executortest.Run(t, executortest.Traits{Shared: true}, func(c executortest.Config) executor.Executor {
		return NewPool(c.Workers, c.Queue, c.Grace, c.Observer)
	})
}
