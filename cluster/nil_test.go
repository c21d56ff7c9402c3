package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/cluster"
)

// TestExecutor_Nil: methods of an executor that Dial has not made panic with a
// text that says so.
func TestExecutor_Nil(t *testing.T) {
	one := func(context.Context, int) (int, error) { return 1, nil }
	for _, p := range []*cluster.Executor{nil, {}} {
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
					if text := fmt.Sprint(recover()); !strings.Contains(text, "cluster: the Executor is nil or zero: make it with Dial") {
						t.Errorf("%s of %v panicked with %q", name, p == nil, text)
					}
				}()
				use()
			}()
		}
	}
}
