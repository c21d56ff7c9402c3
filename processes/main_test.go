package processes_test

import (
	"os"
	"testing"

	"concert/processes"
)

func TestMain(m *testing.M) {
	// Workers that are built for the race detector would sleep for a second at their end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	processes.Main()
	os.Exit(m.Run())
}
