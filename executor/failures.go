package executor

import (
	"context"
	"reflect"
)

// Failures counts the tasks with an error. Each of these tasks counts under
// one kind.
type Failures struct {
	// Errors counts the tasks whose function returned an error.
	Errors int64 `json:"errors"`
	// Panics counts the tasks that panicked or called runtime.Goexit.
	Panics int64 `json:"panics"`
	// Timeouts counts the tasks that failed after their deadline, the tasks
	// that exceeded a time limit of the executor, and the tasks whose error
	// is [context.DeadlineExceeded].
	Timeouts int64 `json:"timeouts"`
	// Canceled counts the tasks that were canceled before they started, for
	// any reason. It also counts the tasks that failed after they were
	// canceled, and the tasks whose error is [context.Canceled].
	Canceled int64 `json:"canceled"`
	// WorkerDeaths counts the tasks whose worker died. If the executor killed
	// the worker because a task exceeded a time limit or was canceled, that
	// task counts under Timeouts or Canceled.
	WorkerDeaths int64 `json:"workerDeaths"`
	// Other counts the tasks that the executor could not run, for example
	// because the function is not registered. It also counts the tasks whose
	// argument or result could not be encoded or decoded.
	Other int64 `json:"other"`
}

// Total returns the number of tasks with an error.
func (f Failures) Total() int64 {
	return f.Errors + f.Panics + f.Timeouts + f.Canceled + f.WorkerDeaths + f.Other
}

// failKind is a kind of error of a task, and the index of its counter.
type failKind uint8

const (
	failedError failKind = iota
	failedPanic
	failedTimeout
	failedCanceled
	failedWorker
	failedOther
	failureKinds
)

// add adds the counts of a shard.
func (f *Failures) add(h *shard) {
	for kind, to := range [failureKinds]*int64{&f.Errors, &f.Panics, &f.Timeouts, &f.Canceled, &f.WorkerDeaths, &f.Other} {
		*to += h.failures[kind].Load()
	}
}

// WorkerDeath is the error of a task whose worker died or was lost; the string
// is its text. It counts in Failures.WorkerDeaths. So does any other error of
// concert that has a method WorkerDied() bool, if this method returns true.
type WorkerDeath string

// Error returns the text.
func (w WorkerDeath) Error() string { return string(w) }

// WorkerDied returns true.
func (WorkerDeath) WorkerDied() bool { return true }

// hasDied reports whether err says that the worker of a task died by itself.
// If the executor has killed the worker, hasDied returns false: the error
// that err wraps is then the reason. The type of err must be known: see
// isKnownType.
func hasDied(err error) bool {
	d, ok := err.(interface{ WorkerDied() bool })
	return ok && d.WorkerDied()
}

// failureKind returns the kind of the error of a task. ended is the error of
// the task's context, or nil. ran is whether a worker has run the task.
//
// Methods of an error may be code of the program, which may block or panic.
// So failureKind calls only methods of errors of concert and of the standard
// library, and of these only methods that call no method of an inner error.
// If the program wraps the error of the context in an error of its own,
// failureKind uses ended instead.
func failureKind(ended error, ran bool, err error) failKind {
	left := maxKnownChain
	if kind, ok := knownKind(err, &left); ok {
		return kind
	}
	switch {
	case ended == context.DeadlineExceeded:
		return failedTimeout
	case ended != nil:
		return failedCanceled
	case !ran:
		return failedOther
	}
	return failedError
}

// maxKnownChain is the maximum number of errors that knownKind examines.
const maxKnownChain = 32

// knownKind returns the kind of an error. It reports false if neither the
// types nor the values of the errors in the chain determine a kind. It
// decrements *left for each error of the chain.
func knownKind(err error, left *int) (kind failKind, ok bool) {
	if *left--; err == nil || *left < 0 {
		return 0, false
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return 0, false // the error is a nil pointer, whose methods may panic
	}
	switch e := err.(type) {
	case *PanicError:
		return failedPanic, true
	case *neverStarted, *closedError, canceled:
		return failedCanceled, true
	case *valueError:
		return failedOther, true
	case *RemoteError:
		return e.kind()
	}
	switch {
	case sameError(err, ErrGoexit):
		return failedPanic, true
	case sameError(err, context.Canceled):
		return failedCanceled, true
	case !isKnownType(err):
		return 0, false
	}
	if hasDied(err) {
		return failedWorker, true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return knownKind(inner, left) // without Timeout, which would call a method of the inner error
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if kind, ok = knownKind(inner, left); ok {
				return kind, true
			}
		}
	}
	if t, is := err.(interface{ Timeout() bool }); is && t.Timeout() { // context.DeadlineExceeded too
		return failedTimeout, true
	}
	return 0, false
}

// kind does the same as knownKind for an error that came from another process.
// It examines the sentinel errors in the chain of the original.
func (e *RemoteError) kind() (kind failKind, ok bool) {
	for _, s := range e.sentinels {
		if isKnownType(s) && hasDied(s) {
			return failedWorker, true
		}
	}
	switch {
	case e.Is(ErrGoexit):
		return failedPanic, true
	case e.Is(context.DeadlineExceeded):
		return failedTimeout, true
	case e.Is(context.Canceled):
		return failedCanceled, true
	}
	return 0, false
}

// knownPackages are the packages whose errors have methods that failureKind may
// call. Their errors are common in chains with an error of a context.
var knownPackages = func() map[string]bool {
	known := map[string]bool{}
	for _, path := range []string{"context", "errors", "fmt", "internal/poll", "io/fs", "net", "net/http", "net/url", "os", "os/exec", "syscall"} {
		known[path] = true
	}
	for _, path := range []string{"/executor", "/internal/lazy", "/processes"} {
		known[modulePath+path] = true
	}
	return known
}()

// isKnownType reports whether the type of an error belongs to one of the
// knownPackages.
func isKnownType(err error) bool {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return knownPackages[t.PkgPath()]
}
