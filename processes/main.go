package processes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"concert"
	"concert/processes/internal/confine"
	"concert/processes/internal/osproc"
)

// workerEnv is the environment variable that tells a process that it is a
// worker, and what it has been given; see workerSetup.
const workerEnv = "CONCERT_WORKER"

// mainCalled says that Main has been called.
var mainCalled atomic.Bool

// inWorkers has the names of the functions that were registered when Main was
// called, which are those that workers have.
var inWorkers atomic.Pointer[map[string]bool]

// isLate returns the error of a function that was registered after Main; nil if
// it was before, or this process does not know it.
func isLate(name string) error {
	if names := inWorkers.Load(); names == nil || (*names)[name] {
		return nil
	}
	f, err := concert.Find(name)
	switch {
	case err != nil:
		return nil // the worker will say so
	case f.Declared():
		return fmt.Errorf("%w: %s: use a pool that python.New returns, or one with Options.Command", concert.ErrElsewhere, name)
	}
	return fmt.Errorf("%w in the workers: %q was registered after processes.Main, and workers do not get past Main: "+
		"register it at package level, var f = concert.Register(%q, ...), or before Main", concert.ErrNotRegistered, name, name)
}

// ErrNoMain is the error of New in a program that has not called Main.
var ErrNoMain = errors.New("processes: this program does not call processes.Main() first thing in main (for tests: in TestMain), " +
	"so its workers would run the whole program instead of tasks; nothing was started")

// Main is the guard of programs that use this package. It corresponds to if
// __name__ == "__main__" in Python's multiprocessing: call it first in main,
// and in TestMain for tests. A worker is this same program, started again. In a
// worker, Main runs tasks and does not return. Everywhere else it returns at
// once.
//
//	func main() {
//		processes.Main()
//		...
//	}
//
// Package-level variables and init functions are also initialized and run in
// the workers. In this way, functions are registered there.
//
// In a program that does not call Main, New starts no workers and returns
// [ErrNoMain].
//
// Workers do not know a function that is registered after the call of Main,
// because they never get past it. A task of such a function fails with
// [concert.ErrNotRegistered], and the text of the error gives this reason.
func Main() {
	if mainCalled.CompareAndSwap(false, true) {
		names := make(map[string]bool)
		for _, f := range concert.Functions() {
			names[f.Name()] = true
		}
		inWorkers.Store(&names)
	}
	setup, worker := os.LookupEnv(workerEnv)
	if !worker {
		osproc.BeginStarter()
		return
	}
	// What the worker starts itself is no worker.
	os.Unsetenv(workerEnv)
	os.Exit(serve(setup))
}

// workerSetup is what a worker is told in its environment.
type workerSetup struct {
	depth   int                   // pools above it
	threads int                   // tasks that it may run at a time
	files   []string              // of tasks, results and control, and of the journal and the arena if there are
	prepare bool                  // the first call is the initializer
	result  int64                 // bytes that a result may have
	report  bool                  // somebody wants to know how far tasks are
	sandbox *confine.Restrictions // nil: it is not confined
}

// String is the setup as it travels, for parseSetup.
func (s workerSetup) String() string {
	return fmt.Sprintf("1 depth=%d threads=%d prepare=%t report=%t result=%d sandbox=%s files=%s", s.depth, s.threads, s.prepare, s.report, s.result, s.sandbox, strings.Join(s.files, ","))
}

func parseSetup(text string) (s workerSetup, err error) {
	var version int
	var files, sandbox string
	if _, err := fmt.Sscanf(text, "%d depth=%d threads=%d prepare=%t report=%t result=%d sandbox=%s files=%s", &version, &s.depth, &s.threads, &s.prepare, &s.report, &s.result, &sandbox, &files); err != nil {
		return s, fmt.Errorf("processes: %s=%q is invalid: %w", workerEnv, text, err)
	}
	if s.sandbox, err = confine.Parse(sandbox); err != nil {
		return s, fmt.Errorf("processes: %s=%q has an invalid sandbox: %w", workerEnv, text, err)
	}
	s.files = strings.Split(files, ",")
	if len(s.files) < 3 || len(s.files) > 5 {
		return s, fmt.Errorf("processes: %s=%q names %d files", workerEnv, text, len(s.files))
	}
	return s, nil
}

// ownArgs returns the arguments of a worker: none, except that a test binary
// which reaches its tests after all must not run them.
func ownArgs() []string {
	if strings.HasSuffix(filepath.Base(os.Args[0]), ".test") || strings.HasSuffix(os.Args[0], ".test.exe") {
		return []string{"-test.run=^$"}
	}
	return nil
}
