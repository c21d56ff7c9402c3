package python

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCompiled_Hangs: if the process that compiles the worker hangs, this
// process and its children must be killed.
func TestCompiled_Hangs(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	program := wrapper(t, fmt.Sprintf("sleep 120 >%s\nexit 1", pipe))
	if got := compileWorker(program, nil, "", time.Second); got != nil {
		t.Errorf("compileWorker() = %.100q, want nil", got)
	}
	open.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadAll(open); err != nil {
		t.Errorf("a process still has the pipe: %v", err)
	}
}
