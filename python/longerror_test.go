package python_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"concert/python"
)

// TestError_Long keeps the beginning of a long message, also if results may
// only be small.
func TestError_Long(t *testing.T) {
	p := newPool(t, 1, &python.Options{MaxResult: 1000})
	fails := python.Source[[]int, int]("fail", `
def fail(sizes):
    e = ValueError("start " + sizes[0] * "\U0001f40d")
    e.__notes__ = ["note " + n * "y" for n in sizes[1:]]
    raise e
`)
	for _, sizes := range [][]int{{100, 5}, {50_000, 10}, {3 << 20, 1 << 20, 1 << 20}, {1, 3 << 20}} {
		_, err := call(t, p, fails, sizes)
		var e *python.Error
		if !errors.As(err, &e) || e.Type != "ValueError" || !strings.HasPrefix(e.Message, "start ") || !strings.Contains(err.Error(), "ValueError: start ") || len(e.Notes) != len(sizes)-1 {
			t.Errorf("%v: %.200v", sizes, err)
			continue
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
	}
}
