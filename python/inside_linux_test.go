package python_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"concert/processes"
	"concert/python"
)

// TestPrints: what a task prints, from wherever, is collected, and results are unharmed.
func TestPrints(t *testing.T) {
	var out bytes.Buffer // one handler writes to it, a record at a time, until the pool is closed
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
