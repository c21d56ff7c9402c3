package goroutines_test

import (
	"testing"

	"concert"
	"concert/executortest"
	"concert/goroutines"
)

func TestConformance(t *testing.T) {
	executortest.Run(t, executortest.Traits{Shared: true}, func(c executortest.Config) concert.Executor {
		return goroutines.New(c.Workers, &goroutines.Options{Queue: c.Queue, Grace: c.Grace, Observer: c.Observer})
	})
}
