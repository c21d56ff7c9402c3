package processes_test

import (
	"testing"

	"concert"
	"concert/executortest"
	"concert/processes"
)

func TestConformance(t *testing.T) {
	executortest.Run(t, executortest.Traits{Kills: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		ex, err := processes.New(c.Workers, &processes.Options{Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer})
		if err != nil {
			t.Fatal(err)
		}
		return ex
	})
}
