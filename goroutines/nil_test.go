package goroutines_test

import (
	"testing"

	"concert/executortest"
	"concert/goroutines"
)

// TestPool_Nil: methods of a pool that New has not made panic with a
// text that says so.
func TestPool_Nil(t *testing.T) {
	const advice = "goroutines: the Pool is nil or zero: make it with New"
	t.Run("nil", func(t *testing.T) { executortest.Unusable(t, (*goroutines.Pool)(nil), advice) })
	t.Run("zero", func(t *testing.T) { executortest.Unusable(t, new(goroutines.Pool), advice) })
}
