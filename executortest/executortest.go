// Package executortest is the conformance suite for executors. It tests what
// package concert promises about Submit, Map, futures and closing. All
// executors of concert pass the suite. If you write an executor, test it as
// follows:
//
//	func TestConformance(t *testing.T) {
//		traits := executortest.Traits{Shared: true}
//		executortest.Run(t, traits, func(c executortest.Config) concert.Executor {
//			return mypool.New(c.Workers, ...)
//		})
//	}
//
// Executors differ: [Traits] describes what an executor can do. If an
// executor lacks a trait that a case needs, the case does nothing, or checks
// that the error is the documented one.
//
// Tasks of the suite are registered functions, because some executors run them
// in worker processes. So the program of a worker process must import this
// package. A task creates files when it begins and ends, and the suite waits
// for these files. So a worker process needs access to the directory of the
// test.
package executortest

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
)

// Traits describes what the executor can do.
type Traits struct {
	// Shared says that tasks share memory with their submitter: any function
	// can be submitted, values are passed as they are, and a task can submit to
	// the executor that runs it. If Shared is false, values are copied, and a
	// task whose function was not registered fails with ErrNotRegistered.
	Shared bool

	// Kills says that the executor kills the worker of a task that ignores the
	// end of its context. The future of the task settles with an error.
	Kills bool

	// Far says that each task is sent through a network. Cases with very many
	// tasks then submit only a tenth of them.
	Far bool

	// Expired is wrapped by the error of a task that ran for longer than
	// Config.Timeout. Nil means that the executor has no such time limit.
	Expired error

	// Foreign says that the workers are programs in another language. There,
	// a canceled task fails with an exception, and not with the cause of its
	// context.
	Foreign bool

	// Hooks are options of the executor that are functions of the program, and
	// that the executor calls in this process. The suite tests them too.
	Hooks []Hook
}

// Hook describes an option of an executor that is a function of the program.
type Hook struct {
	// Name is the name of the option.
	Name string
	// Open returns an executor whose option is fn.
	Open func(c Config, fn func()) concert.Executor
	// Trigger submits tasks with ctx, so that the executor calls fn. It
	// returns a function that waits until the tasks have settled.
	Trigger func(ctx context.Context, ex concert.Executor) (wait func())
}

// Config has the options of the executor that a case needs.
type Config struct {
	Workers  int              // the exact number of tasks that can run at the same time
	Queue    int              // the number of tasks that can wait; workers may fetch further tasks ahead
	Grace    time.Duration    // the time that Shutdown waits for tasks that it has canceled
	Timeout  time.Duration    // the maximum run time of a task; zero means no bound; set only for executors with Traits.Expired
	Observer concert.Observer // may be nil
}

// eventTimeout is the maximum time that a case waits for an event that must
// happen.
const eventTimeout = time.Minute

// caseDeadline is the maximum time of a case, even if the case waits without
// a context, as in Close. It is longer than eventTimeout. So a case that
// waits with a context can report the missing event first.
const caseDeadline = 3 * eventTimeout

// Run runs the suite. open returns a new executor for a case. Run closes the
// executor after the case.
//
// Each case checks one rule, and has a deadline. If a case fails, Run logs the
// rule. If a case does not end, because the executor hangs, the test program
// panics with the rule and the stacks of all goroutines.
func Run(t *testing.T, traits Traits, open func(Config) concert.Executor) {
	for _, c := range slices.Concat(cases, hookCases(traits.Hooks)) {
		t.Run(c.name, func(t *testing.T) {
			watchdog := time.AfterFunc(caseDeadline, func() { panic(hangReport(c)) })
			defer watchdog.Stop()
			defer func() {
				if t.Failed() {
					t.Logf("the rule: %s", c.rule)
				}
			}()
			before := runtime.NumGoroutine()
			s := &suite{T: t, Traits: traits, open: open, dir: t.TempDir()}
			ctx, cancel := context.WithTimeoutCause(t.Context(), eventTimeout, errEventTimeout)
			defer cancel()
			s.ctx = ctx
			allowHangs()
			c.run(s)
			for _, ex := range s.opened {
				ex.Close()
			}
			checkGoroutines(t, before)
		})
	}
}

// hangReport returns the text of the panic for a case that does not end.
func hangReport(c testCase) string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return fmt.Sprintf("executortest: case %s did not end in %v\nthe rule: %s\n\n%s", c.name, caseDeadline, c.rule, stacks)
}

// testCase checks one rule. The rule is a sentence about a correct executor.
type testCase struct {
	name string
	rule string
	run  func(*suite)
}

var cases = func() (all []testCase) {
	for _, list := range [][]testCase{futureCases, waitCases, mapCases, nestedCases, valueCases, kindCases, userCodeCases, contextCases, closeCases, eventCases, statsCases, watchCases, errorCases, observerCases, labelCases, misbehaviorCases, sharedCases, mappedCases, runningContextCases, shutdownCauseCases} {
		all = append(all, list...)
	}
	return all
}()

// suite is the state of one running case.
type suite struct {
	*testing.T
	Traits
	ctx    context.Context // ends after eventTimeout
	dir    string
	open   func(Config) concert.Executor
	opened []concert.Executor
	gates  int
}

// executor returns an executor that is closed after the case.
func (s *suite) executor(c Config) concert.Executor {
	s.Helper()
	c.Workers = cmp.Or(c.Workers, 2)
	c.Queue = cmp.Or(c.Queue, 64)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	ex := s.open(c)
	s.opened = append(s.opened, ex)
	return ex
}

// many returns n, or a tenth of n if Traits.Far is set.
func (s *suite) many(n int) int {
	if s.Far {
		return n / 10
	}
	return n
}

// ended returns a context that has ended with a cause.
func (s *suite) ended(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(s.ctx)
	cancel(cause)
	return ctx
}

// must returns a function with two arguments, a value and an error. This
// function fails the case if there is an error, and otherwise returns the
// value.
func must[T any](s *suite) func(T, error) T {
	s.Helper()
	return func(v T, err error) T {
		s.Helper()
		if err != nil {
			s.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// eventually waits until the function ok returns true. It fails the case if
// ok does not return true within eventTimeout.
func (s *suite) eventually(what string, ok func() bool) {
	s.Helper()
	for pause := time.Microsecond; !ok(); pause = min(2*pause, 5*time.Millisecond) {
		if s.ctx.Err() != nil {
			s.Fatalf("never happened: %s", what)
		}
		time.Sleep(pause)
	}
}

// checkGoroutines fails the test if there are more goroutines than the
// number before. It waits for goroutines that are about to end.
func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			buf = buf[:runtime.Stack(buf, true)]
			t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, strings.TrimSpace(string(buf)))
			return
		}
		time.Sleep(time.Millisecond)
	}
}
