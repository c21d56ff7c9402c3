package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"concert/internal/lazy"
)

// outsider has the methods of an error of the program: they must not be called.
type outsider struct{ error }

func (outsider) Unwrap() error    { panic("Unwrap was called") }
func (outsider) Is(error) bool    { panic("Is was called") }
func (outsider) Timeout() bool    { panic("Timeout was called") }
func (outsider) WorkerDied() bool { panic("WorkerDied was called") }

// incomparable is an error that cannot be compared.
type incomparable struct{ _ []int }

func (incomparable) Error() string { return "" }

func TestFailureKind(t *testing.T) {
	// outsider belongs to this package, whose errors are known.
	before := knownPackages
	defer func() { knownPackages = before }()
	remote := func(err error) error { return DecodeError(EncodeError(err)) }
	died := error(WorkerDeath("the worker died"))
	RegisterError("executor.TestFailureKind", died)
	plain := errors.New("plain")
	for name, c := range map[string]struct {
		err   error
		ended error
		never bool // no worker has run the task
		want  failKind
	}{
		"plain":                       {err: plain, want: failedError},
		"incomparable":                {err: incomparable{}, want: failedError},
		"wrapped":                     {err: fmt.Errorf("a: %w", io.EOF), want: failedError},
		"remote":                      {err: remote(plain), want: failedError},
		"a file":                      {err: &fs.PathError{Op: "open", Err: os.ErrNotExist}, want: failedError},
		"panic":                       {err: NewPanicError(context.Canceled), want: failedPanic},
		"panic, canceled":             {err: NewPanicError(1), ended: context.Canceled, want: failedPanic},
		"remote panic":                {err: remote(NewPanicError(1)), want: failedPanic},
		"wrapped panic":               {err: fmt.Errorf("a: %w", NewPanicError(1)), want: failedPanic},
		"goexit":                      {err: ErrGoexit, want: failedPanic},
		"remote goexit":               {err: remote(ErrGoexit), want: failedPanic},
		"deadline":                    {err: context.DeadlineExceeded, want: failedTimeout},
		"wrapped deadline":            {err: fmt.Errorf("%w, %w", plain, lazy.Errorf("b: %w", context.DeadlineExceeded)), want: failedTimeout},
		"remote deadline":             {err: remote(fmt.Errorf("a: %w", context.DeadlineExceeded)), want: failedTimeout},
		"net":                         {err: &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, want: failedTimeout},
		"plain after the deadline":    {err: plain, ended: context.DeadlineExceeded, want: failedTimeout},
		"canceled":                    {err: context.Canceled, want: failedCanceled},
		"ErrCanceled":                 {err: errors.Join(plain, ErrCanceled), want: failedCanceled},
		"remote ErrCanceled":          {err: remote(ErrCanceled), want: failedCanceled},
		"plain after a cancellation":  {err: plain, ended: context.Canceled, want: failedCanceled},
		"remote after a cancellation": {err: remote(plain), ended: context.Canceled, want: failedCanceled},
		"never started":               {err: &neverStarted{context.DeadlineExceeded}, never: true, want: failedCanceled},
		"died":                        {err: died, want: failedWorker},
		"wrapped died":                {err: fmt.Errorf("a: %w", died), ended: context.Canceled, want: failedWorker},
		"remote died":                 {err: remote(fmt.Errorf("a: %w", died)), want: failedWorker},
		"not run":                     {err: plain, never: true, want: failedOther},
		"argument":                    {err: &valueError{"argument of ", "f", nil, context.Canceled}, never: true, want: failedOther},
		"result":                      {err: &valueError{"result of ", "f", nil, plain}, want: failedOther},
	} {
		if got := failureKind(c.ended, !c.never, c.err); got != c.want {
			t.Errorf("%s: kind %d, want %d", name, got, c.want)
		}
	}
	knownPackages = map[string]bool{"fmt": true}
	for _, err := range []error{outsider{plain}, fmt.Errorf("a: %w", &outsider{plain})} {
		if got := failureKind(nil, true, err); got != failedError {
			t.Errorf("an error of the program has kind %d", got)
		}
	}
}

// TestFailureKind_Harmless: a task whose error has methods that panic settles,
// and counts as failed. The error is a nil pointer, or a type of the standard
// library that calls the method Timeout of an inner error.
func TestFailureKind_Harmless(t *testing.T) {
	before := knownPackages
	defer func() { knownPackages = before }()
	knownPackages = maps.Clone(before)
	delete(knownPackages, modulePath+"/executor") // outsider is not a type of concert
	var none *fs.PathError
	var remote *RemoteError
	for _, err := range []error{
		none, remote, fmt.Errorf("a: %w", none),
		&fs.PathError{Err: outsider{io.EOF}}, &net.OpError{Op: "dial", Err: outsider{io.EOF}}, &url.Error{Err: &outsider{io.EOF}},
	} {
		if got := failureKind(nil, true, err); got != failedError {
			t.Errorf("kind of %T: %d, want %d", err, got, failedError)
		}
	}
	for err, want := range map[error]failKind{
		&fs.PathError{Err: os.ErrDeadlineExceeded}:                           failedTimeout,
		&url.Error{Err: &net.DNSError{IsTimeout: true}}:                      failedTimeout,
		&fs.PathError{Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)}: failedTimeout,
		&net.DNSError{}: failedError,
	} {
		if got := failureKind(nil, true, err); got != want {
			t.Errorf("kind of %T: %d, want %d", err, got, want)
		}
	}
}

// selfWrapping is an error that wraps itself.
type selfWrapping struct{}

func (e *selfWrapping) Error() string { return "endless" }
func (e *selfWrapping) Unwrap() error { return e }

// TestFailureKind_Endless: the chain of an error is examined only to a limit.
func TestFailureKind_Endless(t *testing.T) {
	if got := failureKind(nil, true, &selfWrapping{}); got != failedError {
		t.Errorf("kind %d, want %d", got, failedError)
	}
}
