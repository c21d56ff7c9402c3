package goroutines_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/goroutines"
)

// TestPool_Nil: methods of a pool that New has not made panic with a text that
// says so.
func TestPool_Nil(t *testing.T) {
	one := func(context.Context, int) (int, error) { return 1, nil }
	for _, p := range []*goroutines.Pool{nil, {}} {
		for name, use := range map[string]func(){
			"Submit": func() { concert.Submit(t.Context(), p, one, 1) },
			"Map": func() {
				for range concert.Map(t.Context(), p, one, slices.Values([]int{1})) {
				}
			},
			"Close":    func() { p.Close() },
			"Shutdown": func() { p.Shutdown(t.Context()) },
		} {
			func() {
				defer func() {
					if text := fmt.Sprint(recover()); !strings.Contains(text, "goroutines: the Pool is nil or zero: make it with New") {
						t.Errorf("%s of %v panicked with %q", name, p == nil, text)
					}
				}()
				use()
			}()
		}
	}
}
