package executor_test

import (
	"context"
	"iter"
	"slices"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// TestNilArguments_Panic: a panic names the argument that is nil.
func TestNilArguments_Panic(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	one := func(context.Context, int) (int, error) { return 1, nil }
	var noFn func(context.Context, int) (int, error)
	var noContext context.Context
	inputs := slices.Values([]int{1})
	for want, use := range map[string]func(){
		"concert: Submit with a nil context":         func() { concert.Submit(noContext, ex, one, 1) },
		"concert: Submit with a nil executor":        func() { concert.Submit(t.Context(), nil, one, 1) },
		"concert: Submit with a nil function":        func() { concert.Submit(t.Context(), ex, noFn, 1) },
		"concert: TrySubmit with a nil context":      func() { concert.TrySubmit(noContext, ex, one, 1) },
		"concert: TrySubmit with a nil executor":     func() { concert.TrySubmit(t.Context(), nil, one, 1) },
		"concert: TrySubmit with a nil function":     func() { concert.TrySubmit(t.Context(), ex, noFn, 1) },
		"concert: Map with a nil context":            func() { concert.Map(noContext, ex, one, inputs) },
		"concert: Map with a nil executor":           func() { concert.Map(t.Context(), nil, one, inputs) },
		"concert: Map with a nil function or inputs": func() { concert.MapIndexed(t.Context(), ex, one, iter.Seq[int](nil)) },
		"concert: Relay with a nil context":          func() { executor.Relay(noContext, ex, executor.Call{}) },
		"concert: Relay with a nil executor":         func() { executor.Relay(t.Context(), nil, executor.Call{}) },
	} {
		t.Run(want, func(t *testing.T) {
			func() {
				defer func() {
					if got := recover(); got != want {
						t.Errorf("panic %v, want %q", got, want)
					}
				}()
				use()
			}()
		})
	}
}
