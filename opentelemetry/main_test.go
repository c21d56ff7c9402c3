package opentelemetry

import (
	"os"
	"testing"

	"concert/processes"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // workers would sleep for a second when they exit
	processes.Main()
	os.Exit(m.Run())
}
