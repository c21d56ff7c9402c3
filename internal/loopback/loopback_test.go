package loopback_test

import (
	"testing"

	"concert"
	"concert/executortest"
	"concert/internal/loopback"
)

func TestConformance(t *testing.T) {
	executortest.Run(t, executortest.Traits{}, func(c executortest.Config) concert.Executor {
		return loopback.New(c.Workers, loopback.Options{Queue: c.Queue, Grace: c.Grace, Observer: c.Observer})
	})
}
