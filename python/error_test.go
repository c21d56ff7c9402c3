package python_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"concert/python"
)

// TestError_LongMessage: if the message of an exception is long, the error
// must have at least the beginning of the message. A small Options.MaxResult
// must not change this.
func TestError_LongMessage(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{MaxResult: 1000})
	fails := python.Source[[]int, int]("fail", `
def fail(sizes):
    e = ValueError("start " + sizes[0] * "\U0001f40d")
    e.__notes__ = ["note " + n * "y" for n in sizes[1:]]
    raise e
`)
	for _, sizes := range [][]int{{100, 5}, {50_000, 10}, {3 << 20, 1 << 20, 1 << 20}, {1, 3 << 20}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			_, err := call(t, p, fails, sizes)
			var e *python.Error
			if !errors.As(err, &e) || e.Type != "ValueError" || !strings.HasPrefix(e.Message, "start ") || !strings.Contains(err.Error(), "ValueError: start ") || len(e.Notes) != len(sizes)-1 {
				t.Errorf("%v: %.200v", sizes, err)
				return
			}
			if sizes[0] > 1<<20 {
				var missing int
				start, note, _ := strings.Cut(e.Message, " ... (")
				if fmt.Sscanf(note, "%d characters more)", &missing); len([]rune(start))+missing != sizes[0]+len("start ") {
					t.Errorf("%d characters and the note %q", len([]rune(start)), note)
				}
			} else if n := len([]rune(e.Message)); n != sizes[0]+len("start ") && sizes[1] < 1<<20 {
				t.Errorf("%v: the message has %d characters", sizes, n)
			}
		})
	}
}

// TestError_DescriptionRaises: while the worker describes an exception, a
// method of the exception raises another exception. The error of the task
// must have the type of the first exception, and the worker must continue.
func TestError_DescriptionRaises(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Grace: 100 * time.Millisecond})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"", "module", "thread"} {
		t.Run(kind, func(t *testing.T) {
			_, err := call(t, p, python.Func[string, any]("tasks:odd_exception"), kind)
			if e, ok := errors.AsType[*python.Error](err); !ok || !strings.HasSuffix(e.Type, "ValueError") && !strings.HasSuffix(e.Type, "Odd") {
				t.Errorf("%q: %v", kind, err)
			}
		})
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}
