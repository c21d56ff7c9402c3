package processes_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"concert"
	"concert/processes"
)

// standardFailures return errors of the standard library.
var standardFailures = map[string]func() error{
	"open":    func() error { _, err := os.Open("/nonexistent/file"); return err },
	"command": func() error { return exec.Command("no-such-command").Run() },
	"space":   func() error { return &fs.PathError{Op: "write", Path: "/dev/full", Err: syscall.ENOSPC} },
	"dot":     func() error { return exec.ErrDot },
	"delay":   func() error { return exec.ErrWaitDelay },
}

var failStandard = concert.Register("processes.failStandard", func(_ context.Context, name string) (int, error) {
	return 0, fmt.Errorf("wrapped: %w", standardFailures[name]())
})

// TestPool_StandardErrors: if a task returns an error of the standard library,
// errors.Is and errors.As must give the same results for the received error as
// for the original error.
func TestPool_StandardErrors(t *testing.T) {
	ex, err := processes.New(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	targets := []error{syscall.ENOENT, syscall.ENOSPC, syscall.EPERM, fs.ErrNotExist, fs.ErrExist, exec.ErrNotFound, exec.ErrDot, exec.ErrWaitDelay}
	for name, fail := range standardFailures {
		want := fail()
		_, err := concert.Submit(t.Context(), ex, failStandard, name).Result(t.Context())
		for _, target := range targets {
			if errors.Is(err, target) != errors.Is(want, target) {
				t.Errorf("errors.Is(%v, %v) = %v", err, target, errors.Is(err, target))
			}
		}
		var got, original *fs.PathError
		if errors.As(want, &original) != errors.As(err, &got) || original != nil && *got != *original {
			t.Errorf("the *fs.PathError of %v became %+v", want, got)
		}
	}
}
