package processes_test

import (
	"os"
	"strings"
	"testing"

	"concert"
	"concert/processes"
)

// TestCommand: if Options.Command is set, the workers must run that program.
// In this test, the program is the test binary, because it contains the
// functions.
func TestCommand(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 2, &processes.Options{Command: []string{self, "-test.run=^$"}})
	n := 0
	for got, err := range concert.Map(t.Context(), p, nop, numbers(1000)) {
		if got != n || err != nil {
			t.Fatalf("result %d: %d, %v", n, got, err)
		}
		n++
	}
}

// TestCommand_Refused: if the program does not exist or is not a worker, New
// must fail.
func TestCommand_Refused(t *testing.T) {
	for what, want := range map[string]string{
		"":                       "has no program",
		"/no/such/program":       "no such file",
		"no-such-program-at-all": "executable file not found",
		"/bin/true":              "died before it was ready",
	} {
		t.Run(what, func(t *testing.T) {
			if p, err := processes.New(1, &processes.Options{Command: []string{what}}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New() with %q = %v, %v; want an error with %q", what, p, err, want)
			}
		})
	}
	if _, err := processes.New(1, &processes.Options{Command: []string{"/bin/true"}, Sandbox: &processes.Sandbox{}}); err == nil {
		t.Error("New accepts a sandbox for another program")
	}
}
