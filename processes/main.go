package processes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/child"
	"concert/processes/internal/osproc"
)

// mainCalled reports whether Main has been called.
var mainCalled atomic.Bool

// inWorkers contains the names of the functions that were registered when Main
// was called. Workers have exactly these functions.
var inWorkers atomic.Pointer[map[string]bool]

// isLate returns an error if a function was registered after the call of Main.
// It returns nil if the function was registered before, or is unknown here.
func isLate(name string) error {
	if names := inWorkers.Load(); names == nil || (*names)[name] {
		return nil
	}
	f, err := executor.Find(name)
	switch {
	case err != nil:
		return nil // the worker reports that it does not know the function
	case f.Declared():
		return fmt.Errorf("%w: %s: use a pool that python.New returns, or one with Options.Command", concert.ErrElsewhere, name)
	}
	return fmt.Errorf("%w in the workers: %q was registered after processes.Main, which does not return in workers: "+
		"register it at package level, var f = concert.Register(%q, ...), or before Main", concert.ErrNotRegistered, name, name)
}

// checkFunction returns an error if workers cannot call the function with
// the given name. It returns nil if workers can call the function, or if the
// pool cannot know this.
func (p *Pool) checkFunction(name string) error {
	if len(name) > frame.MaxName {
		return fmt.Errorf("%w: the name of the function, %.40q..., has %d bytes, more than %d: register the function under a shorter name", ErrTooLarge, name, len(name), frame.MaxName)
	}
	if p.opts.Command != nil {
		return nil // the pool does not know the functions of another program
	}
	return isLate(name)
}

// ErrNoMain is the error of New in a program that has not called Main.
var ErrNoMain = errors.New("processes: this program does not call processes.Main() at the beginning of main (for tests: of TestMain), " +
	"so its workers would run the whole program instead of tasks; nothing was started")

// Main is the guard of programs that use this package. It corresponds to the
// test of __name__ that protects the main module of a program that uses
// Python's multiprocessing. Call Main first in main, and in TestMain for
// tests. A worker is this same program, started again. In a worker, Main
// runs tasks and does not return. In any other process, Main returns at
// once.
//
//	func main() {
//		processes.Main()
//		...
//	}
//
// Workers initialize package-level variables and run init functions before
// Main. In this way, functions are registered in the workers too.
//
// In a program that does not call Main, New starts no workers and returns
// [ErrNoMain].
//
// Register functions before the call of Main. Workers do not know a function
// that is registered later, because Main does not return in a worker. A task of
// such a function fails with [concert.ErrNotRegistered].
func Main() {
	if mainCalled.CompareAndSwap(false, true) {
		names := make(map[string]bool)
		for _, f := range executor.Functions() {
			names[f.Name()] = true
		}
		inWorkers.Store(&names)
	}
	setup, worker := os.LookupEnv(child.EnvName)
	if !worker {
		osproc.BeginStarter()
		return
	}
	// Processes that the worker starts are not workers.
	os.Unsetenv(child.EnvName)
	os.Exit(child.Run(setup))
}

// ownArgs returns the arguments with which this program is started as a worker.
// Only a test binary has such arguments: if its TestMain does not call Main,
// the arguments prevent a worker from running the tests.
func ownArgs() []string {
	if strings.HasSuffix(filepath.Base(os.Args[0]), ".test") || strings.HasSuffix(os.Args[0], ".test.exe") {
		return []string{"-test.run=^$"}
	}
	return nil
}
