package executortest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
)

// misbehaviors lists the ways in which user code misbehaves: it panics, ends
// its goroutine, or hangs.
var misbehaviors = []string{"panics", "exits", "hangs"}

// misbehaveAs misbehaves: its argument says in which way. A hang lasts until
// a call of releaseHung.
func misbehaveAs(how string) {
	switch how {
	case "panics":
		panic("out of cheese")
	case "exits":
		runtime.Goexit()
	case "hangs":
		hang()
	}
}

// badError is an error all of whose methods misbehave.
type badError struct{ how string }

// Error misbehaves.
func (e badError) Error() string { misbehaveAs(e.how); return "bad" }

// Is misbehaves.
func (e badError) Is(error) bool { misbehaveAs(e.how); return false }

// As misbehaves.
func (e badError) As(any) bool { misbehaveAs(e.how); return false }

// Unwrap misbehaves.
func (e badError) Unwrap() error { misbehaveAs(e.how); return nil }

// Format misbehaves.
func (e badError) Format(fmt.State, rune) { misbehaveAs(e.how) }

// badKey is a key whose String method misbehaves. Its value is the index of
// the way in misbehaviors.
type badKey int

// String misbehaves.
func (k badKey) String() string { misbehaveAs(misbehaviors[k]); return "bad" }

var keys = concert.Register("executortest.keys", func(_ context.Context, m map[badKey]any) (int, error) { return len(m), nil })

// badContext is a context with a method that misbehaves after the context was
// armed.
type badContext struct {
	context.Context
	method, how string
	armed       *atomic.Bool
	done        chan struct{} // nil if the context has the Done channel of the embedded context
}

func newBadContext(ctx context.Context, method, how string) badContext {
	return badContext{ctx, method, how, new(atomic.Bool), nil}
}

func (c badContext) misbehave(method string) {
	if c.method == method && c.armed.Load() {
		misbehaveAs(c.how)
	}
}

// Err misbehaves.
func (c badContext) Err() error {
	c.misbehave("Err")
	select {
	case <-c.done:
		return context.Canceled
	default:
		return c.Context.Err()
	}
}

// Done misbehaves.
func (c badContext) Done() <-chan struct{} {
	c.misbehave("Done")
	if c.done != nil {
		return c.done
	}
	return c.Context.Done()
}

// Value misbehaves.
func (c badContext) Value(key any) any { c.misbehave("Value"); return c.Context.Value(key) }

// Deadline misbehaves.
func (c badContext) Deadline() (time.Time, bool) {
	c.misbehave("Deadline")
	return c.Context.Deadline()
}

// caseState is the state of one case of user code that misbehaves.
type caseState struct {
	*suite
	ex     concert.Executor
	how    string
	ctx    context.Context         // the context of the tasks whose user code misbehaves
	cancel context.CancelCauseFunc // ends ctx
}

// userCodeKind is a kind of code of the program that runs in this process.
type userCodeKind struct {
	name string
	// hangs is true if the executor certainly calls the code. Then the case
	// waits until the code hangs.
	hangs bool
	// keeps is true if a local executor runs the code on the task's
	// goroutine. In this case, the worker is blocked while the code hangs.
	keeps bool
	// start submits tasks whose user code misbehaves, and returns a function
	// that waits until they have settled.
	start func(m *caseState) (wait func())
}

// userCodeKinds are all kinds of code of the program that every executor calls
// in this process. Methods that encode and decode, and observers, are not in
// the list, because they have cases of their own.
var userCodeKinds = []userCodeKind{
	{"the cause of a running task's context", false, false, func(m *caseState) func() {
		f := m.start(m.ctx, m.ex)
		m.cancel(badError{m.how})
		return func() { <-f.Done() }
	}},
	{"the cause of a waiting task's context", false, false, func(m *caseState) func() {
		g := m.gate()
		for range 2 {
			concert.Submit(m.suite.ctx, m.ex, hold, g)
		}
		m.eventually("the workers are held", func() bool { return g.entered() == 2 })
		f := concert.Submit(m.ctx, m.ex, square, 1)
		m.cancel(badError{m.how})
		g.open()
		return func() { <-f.Done() }
	}},
	{"the cause of a Map's context", false, false, func(m *caseState) func() {
		g := m.gate()
		wait := m.mapping(m.ctx, slices.Values([]gate{g, g, g}))
		m.eventually("the Map runs", func() bool { return g.entered() > 0 })
		m.cancel(badError{m.how})
		return wait
	}},
	{"a callback", true, true, func(m *caseState) func() {
		g := m.gate()
		f := concert.Submit(m.ctx, m.ex, hold, g)
		f.OnDone(m.ctx, func(context.Context, *concert.Future[string]) { misbehaveAs(m.how) })
		g.open()
		return func() { <-f.Done() }
	}},
	{"the inputs of a Map", true, false, func(m *caseState) func() {
		g := m.gate()
		g.open()
		return m.mapping(m.ctx, func(yield func(gate) bool) {
			if yield(g) {
				misbehaveAs(m.how)
			}
		})
	}},
	{"the labels of a Map", true, false, func(m *caseState) func() {
		g := m.gate()
		g.open()
		return m.mapping(concert.WithInputLabels(m.ctx, func(gate) string { misbehaveAs(m.how); return "" }), slices.Values([]gate{g}))
	}},
	{"Started of a Relay", true, true, func(m *caseState) func() {
		name, arg, err := executor.Prepare(square, 3)
		must[any](m.suite)(nil, err)
		f := executor.Relay(m.ctx, m.ex, executor.Call{Name: name, Arg: arg, Started: func() { misbehaveAs(m.how) }})
		return func() { <-f.Done() }
	}},
	{"Progress of a Relay", false, true, func(m *caseState) func() {
		name, arg, err := executor.Prepare(milestone, 3)
		must[any](m.suite)(nil, err)
		f := executor.Relay(m.ctx, m.ex, executor.Call{Name: name, Arg: arg, Progress: func(int64, int64) { misbehaveAs(m.how) }})
		return func() { <-f.Done() }
	}},
	{"String of a map's key", false, false, func(m *caseState) func() {
		arg := map[badKey]any{badKey(slices.Index(misbehaviors, m.how)): make(chan int)} // a channel cannot be encoded; the path of the error contains the key
		f := concert.Submit(m.ctx, m.ex, keys, arg)
		return func() { <-f.Done() }
	}},
	{"Err of a context", false, false, badContextKind("Err")},
	{"Done of a context", false, false, badContextKind("Done")},
	{"Value of a context", false, false, badContextKind("Value")},
	{"Deadline of a context", false, false, badContextKind("Deadline")},
}

// badContextKind is the kind for contexts with one method that misbehaves.
func badContextKind(method string) func(*caseState) func() {
	return func(m *caseState) func() {
		g := m.gate()
		held := concert.Submit(m.suite.ctx, m.ex, hold, g)
		bad := newBadContext(m.ctx, method, m.how)
		var futures []*concert.Future[int]
		for n := range 3 {
			futures = append(futures, concert.Submit(bad, m.ex, square, n))
		}
		bad.armed.Store(true)
		m.cancel(errors.New("time to go"))
		g.open()
		return func() {
			<-held.Done()
			for _, f := range futures {
				<-f.Done()
			}
		}
	}
}

// mapping iterates a Map on another goroutine, which user code may end.
// mapping returns a function that waits for this goroutine.
func (m *caseState) mapping(ctx context.Context, gates func(func(gate) bool)) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recover() }() // a panic of the inputs reaches the range loop
		for range concert.Map(ctx, m.ex, hold, gates) {
		}
	}()
	return func() { <-done }
}

var misbehaviorCases = func() (all []testCase) {
	for _, kind := range userCodeKinds {
		for _, how := range misbehaviors {
			all = append(all, testCase{"UserCode/" + kind.name + " " + how, "user code that panics, exits or hangs affects only its own task, and Shutdown returns", func(s *suite) { s.misbehaves(kind, how) }})
		}
	}
	return all
}()

// misbehaves checks one kind of user code that misbehaves in one way. Other
// tasks must not be delayed. The tasks to which the code belongs must settle
// after their context has ended. Shutdown must return.
func (s *suite) misbehaves(kind userCodeKind, how string) {
	defer quietly()()
	defer releaseHung()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	// If a canceled task does not end within the grace, its process is
	// killed, and the other tasks of this process fail. Workers in another
	// language run no user code of these cases, so all their tasks end. On a
	// busy machine, a task may need seconds to end.
	var grace time.Duration // zero means the long default
	switch {
	case s.Foreign:
		grace = time.Minute
	case how == "hangs":
		grace = 100 * time.Millisecond
	}
	m := &caseState{s, s.executor(Config{Workers: 2, Grace: grace, Observer: func(concert.Event) {}}), how, ctx, cancel}
	wait := kind.start(m)
	if how == "hangs" && kind.hangs {
		s.eventually("the user code hangs", func() bool { return hangs() > 0 })
	}
	s.runsOtherTasks(m.ex)
	cancel(errors.New("time to go"))
	kept := how == "hangs" && kind.keeps && s.Shared
	if !kept {
		s.returns("the wait for its tasks", wait)
	}
	s.runsOtherTasks(m.ex)
	s.shutdownReturns(m.ex, errors.New("time to go"))
	if kept {
		releaseHung()
		s.returns("the wait for its tasks", wait)
	}
}

// runsOtherTasks checks that an executor runs other tasks.
func (s *suite) runsOtherTasks(ex concert.Executor) {
	s.Helper()
	s.returns("a Submit and a Map of other tasks", func() {
		for n := range 4 {
			if got, err := concert.Submit(s.ctx, ex, square, n).Result(s.ctx); got != n*n || err != nil {
				s.Errorf("another task = %d, %v; want %d", got, err, n*n)
			}
		}
		n := 0
		for got, err := range concert.Map(s.ctx, ex, square, upTo(10)) {
			if got != n*n || err != nil {
				s.Errorf("result %d of another Map = %d, %v", n, got, err)
			}
			n++
		}
	})
}

// shutdownReturns checks that Shutdown with a context that has ended returns.
func (s *suite) shutdownReturns(ex concert.Executor, cause error) {
	s.Helper()
	s.returns("Shutdown", func() { ex.Shutdown(s.ended(cause)) })
}

// returns calls fn. It fails the case if fn does not return, or ends its
// goroutine.
func (s *suite) returns(what string, fn func()) {
	s.Helper()
	ended := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { ended <- returned }()
		fn()
		returned = true
	}()
	select {
	case returned := <-ended:
		if !returned {
			s.Fatalf("%s ended its goroutine", what)
		}
	case <-s.ctx.Done():
		s.Fatalf("%s does not return", what)
	}
}

// hookCases returns the cases for the hooks of the executor.
func hookCases(hooks []Hook) (all []testCase) {
	for _, hook := range hooks {
		for _, how := range misbehaviors {
			all = append(all, testCase{"UserCode/" + hook.Name + " " + how, "a hook that panics, exits or hangs affects only its own task, and Shutdown returns", func(s *suite) {
				s.open = func(c Config) concert.Executor { return hook.Open(c, func() { misbehaveAs(how) }) }
				s.misbehaves(userCodeKind{name: hook.Name, hangs: true, start: func(m *caseState) func() { return hook.Trigger(m.ctx, m.ex) }}, how)
			}})
		}
	}
	return all
}

// runningContextCases are the cases for the context of a running task. An
// executor may call methods of this context when the task is canceled or ends.
var runningContextCases = func() (all []testCase) {
	for _, method := range []string{"Err", "Done", "Value", "Deadline"} {
		for _, how := range misbehaviors {
			name := "UserCode/" + method + " of a running task's context " + how
			rule := "Cancel and Shutdown return, and tasks end, although a method of a running task's context misbehaves"
			all = append(all, testCase{name, rule, func(s *suite) {
				defer quietly()()
				defer releaseHung()
				ex := s.executor(Config{Workers: 2, Grace: 100 * time.Millisecond, Observer: func(concert.Event) {}})
				// The first task waits for its context, and the submitter's
				// context has a Done channel of its own. The second task does
				// not use its context.
				own := newBadContext(s.ctx, method, how)
				own.done = make(chan struct{})
				bad := newBadContext(s.ctx, method, how)
				g := s.gate()
				first := concert.Submit(own, ex, hold, g)
				second := concert.Submit(bad, ex, stubborn, g)
				s.eventually("the tasks run", func() bool { return g.entered() == 2 })
				own.armed.Store(true)
				bad.armed.Store(true)
				close(own.done)
				s.returns("the wait for the first task", func() { <-first.Done() })
				s.returns("Cancel", func() { second.Cancel() })
				if s.Foreign {
					// Both workers may be threads of one process. The executor
					// kills this process after the grace, and other tasks that
					// run in it at that time fail.
					s.returns("the wait for the killed task", func() { <-second.Done() })
				}
				s.runsOtherTasks(ex)
				s.shutdownReturns(ex, errors.New("time to go"))
				g.open()
				s.returns("the wait for the second task", func() { <-second.Done() })
				s.returns("Close", func() { ex.Close() })
			}})
		}
	}
	return all
}()

var shutdownCauseCases = func() (all []testCase) {
	for _, how := range misbehaviors {
		all = append(all, testCase{"UserCode/the cause of Shutdown's context " + how, "Shutdown returns although the cause of its context misbehaves", func(s *suite) {
			defer quietly()()
			defer releaseHung()
			ex := s.executor(Config{Workers: 2, Grace: 20 * time.Millisecond})
			g := s.gate()
			var futures []*concert.Future[string]
			for range 4 {
				futures = append(futures, concert.Submit(s.ctx, ex, hold, g))
			}
			s.eventually("two tasks run", func() bool { return g.entered() == 2 })
			s.shutdownReturns(ex, badError{how})
			s.returns("the wait for its tasks", func() {
				for _, f := range futures {
					<-f.Done()
				}
			})
			s.returns("Close", func() { ex.Close() })
		}})
	}
	return all
}()
