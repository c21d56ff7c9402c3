package cluster_test

import (
	"testing"

	"concert/cluster"
	"concert/executortest"
)

// TestExecutor_Nil: if an Executor was not made by Dial, its methods must panic
// with a text that says so.
func TestExecutor_Nil(t *testing.T) {
	const advice = "cluster: the Executor is nil or zero: make it with Dial"
	t.Run("nil", func(t *testing.T) { executortest.Unusable(t, (*cluster.Executor)(nil), advice) })
	t.Run("zero", func(t *testing.T) { executortest.Unusable(t, new(cluster.Executor), advice) })
}
