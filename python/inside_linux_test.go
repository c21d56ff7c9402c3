package python_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"concert/processes"
	"concert/python"
)

// lockedBuffer collects output of several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestPrints: what a task prints, from wherever, is collected, and results are unharmed.
func TestPrints(t *testing.T) {
	var out lockedBuffer
	p := newPool(t, 1, &python.Options{Options: processes.Options{Output: slog.New(slog.NewTextHandler(&out, nil))}})
	if _, err := call(t, p, python.Func[string, any]("tasks:say"), "words"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, want := range []string{"words of Python", "words of the system", "words of C"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// TestLeftThread: a thread that a task leaves behind does not keep the worker from
// working, nor from ending.
func TestLeftThread(t *testing.T) {
	p := newPool(t, 1, nil)
	if n, err := call(t, p, python.Func[string, int]("tasks:leave_a_thread"), ""); n < 2 || err != nil {
		t.Errorf("%d threads, %v", n, err)
	}
	same(t, p, 5)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestPoolInside: Python's own pool works in a task.
func TestPoolInside(t *testing.T) {
	p := newPool(t, 1, nil)
	if got, err := call(t, p, python.Func[int, int]("tasks:pool_inside"), 10); got != 285 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	same(t, p, 5)
}
