package processes_test

import (
	"flag"
	"os"
	"os/signal"
	"testing"
	"time"

	"concert/processes"
	"concert/processes/internal/child"
)

func TestMain(m *testing.M) {
	// Workers that are built for the race detector would sleep for a second
	// when they exit.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if os.Getenv("CONCERT_TEST_IGNORE_INT") != "" {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	if os.Getenv("CONCERT_WORKER") == "" {
		beProgram()
	} else if os.Getenv(fakeEnv) != "" {
		fake()
	}
	if after, err := time.ParseDuration(os.Getenv("CONCERT_TEST_IDLE")); err == nil {
		child.SetIdle(after)
	}
	processes.Main()
	flag.Set("test.parallel", "8") // parallel tests mostly wait
	os.Exit(m.Run())
}
