package resume_test

import (
	"os"
	"testing"

	"concert/processes"
)

// childVariable makes the test binary run one of the functions in children.
const childVariable = "CONCERT_RESUME_TEST"

// children has the functions that child processes run, by name.
var children = map[string]func(path string){}

// TestMain runs the tests. In a child process, it runs a function of children
// instead.
func TestMain(m *testing.M) {
	processes.Main()
	if name := os.Getenv(childVariable); name != "" {
		children[name](os.Getenv(childVariable + "_PATH"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}
