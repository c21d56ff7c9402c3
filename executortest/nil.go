package executortest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"concert"
)

// Unusable checks that every use of ex panics with a text that contains advice.
// It is for executors that were not made by a constructor: nil pointers and
// zero values.
func Unusable(t *testing.T, ex concert.Executor, advice string) {
	one := func(context.Context, int) (int, error) { return 1, nil }
	for name, use := range map[string]func(){
		"Submit":    func() { concert.Submit(t.Context(), ex, one, 1) },
		"TrySubmit": func() { concert.TrySubmit(t.Context(), ex, one, 1) },
		"Map": func() {
			for range concert.Map(t.Context(), ex, one, slices.Values([]int{1})) {
			}
		},
		"Close":    func() { ex.Close() },
		"Shutdown": func() { ex.Shutdown(t.Context()) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, advice) {
					t.Errorf("%s of %T panicked with %q, want %q in it", name, ex, text, advice)
				}
			}()
			use()
		}()
	}
}
